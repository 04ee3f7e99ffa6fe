"""The same small API in Starlette, and what is put around and into such apps."""

# mypy: ignore-errors
# (Starlette is not in the environment of the type checker)

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute


async def item(request):
    number = request.path_params["number"]
    link = request.url_for("item", number=4)
    return JSONResponse({"item": number, "url": str(request.url), "link": str(link)})


async def folder(_request):
    return JSONResponse({})


async def socket(socket):
    await socket.accept()
    await socket.send_json({"url": str(socket.url), "said": await socket.receive_text()})
    await socket.close()


routes = [
    Route("/item/{number:int}", item, name="item"),
    Route("/folder/", folder),
    WebSocketRoute("/socket", socket),
]

app = Starlette(routes=routes)

wrapped = GZipMiddleware(CORSMiddleware(app, allow_origins=["*"]))

holding_another = Starlette(routes=[Mount("/inner", app=app, name="inner"), *routes])


class Odd:
    """Does not let on what it passes requests on to."""

    def __init__(self, inner):
        self.passes_on = inner.__call__.__func__, inner

    async def __call__(self, scope, receive, send):
        call, inner = self.passes_on
        await call(inner, scope, receive, send)


hidden = Odd(app)

"""The same small API in Quart."""

# mypy: ignore-errors
# (Quart is not in the environment of the type checker)

from quart import Quart, request, url_for, websocket

app = Quart(__name__)


@app.get("/item/<int:number>")
async def item(number):
    link = url_for("item", number=4, _external=True)
    return {"item": number, "url": request.url, "link": link}


@app.get("/folder/")
async def folder():
    return {}


@app.websocket("/socket")
async def socket():
    said = await websocket.receive()
    await websocket.send_json({"url": websocket.url, "said": said})


class Timing:
    """What people put around an app."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


def timing(inner):
    async def timed(scope, receive, send):
        await inner(scope, receive, send)

    return timed


wrapped = timing(Timing(app))

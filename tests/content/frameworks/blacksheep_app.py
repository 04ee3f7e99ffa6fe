"""The same small API in BlackSheep."""

# mypy: ignore-errors
# (BlackSheep is not in the environment of the type checker)

from blacksheep import Application, Request, WebSocket, get, json, ws
from blacksheep.messages import get_absolute_url_to_path, get_request_absolute_url
from blacksheep.server.openapi.v3 import OpenAPIHandler
from openapidocs.v3 import Info

app = Application()

docs = OpenAPIHandler(info=Info(title="probe", version="1"))
docs.bind_app(app)


@get("/item/{number}")
def item(request: Request, number: int):
    url = get_request_absolute_url(request).value.decode()
    link = get_absolute_url_to_path(request, "/item/4").value.decode()
    return json({"item": number, "url": url, "link": link})


@ws("/socket")
async def socket(socket: WebSocket):
    await socket.accept()
    await socket.send_json({"said": await socket.receive_text()})
    await socket.close()

"""The same small API in Litestar."""

# mypy: ignore-errors
# (Litestar is not in the environment of the type checker)

from typing import Any

from litestar import Litestar, Request, WebSocket, get, websocket


@get("/item/{number:int}", name="item", sync_to_thread=False)
def item(request: Request, number: int) -> dict[str, Any]:
    link = request.url_for("item", number=4)
    return {"item": number, "url": str(request.url), "link": link}


@websocket("/socket")
async def socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_json({"url": str(socket.url), "said": await socket.receive_text()})
    await socket.close()


app = Litestar([item, socket])

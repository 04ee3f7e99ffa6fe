"""The same small API in FastAPI."""

# mypy: ignore-errors
# (FastAPI is not in the environment of the type checker)

from fastapi import FastAPI, Request, WebSocket

app = FastAPI()


@app.get("/item/{number}")
async def item(request: Request, number: int):
    link = request.url_for("item", number=4)
    return {"item": number, "url": str(request.url), "link": str(link)}


@app.get("/folder/")
async def folder():
    return {}


@app.websocket("/socket")
async def socket(socket: WebSocket):
    await socket.accept()
    await socket.send_json({"url": str(socket.url), "said": await socket.receive_text()})
    await socket.close()

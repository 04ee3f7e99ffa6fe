"""The same small API in Sanic."""

# mypy: ignore-errors
# (Sanic is not in the environment of the type checker)

from sanic import Sanic, json

app = Sanic("probe")


@app.get("/item/<number:int>")
async def item(request, number):
    link = request.url_for("item", number=4)
    return json({"item": number, "url": request.url, "link": link})


@app.websocket("/socket")
async def socket(request, socket):
    await socket.send(json({"url": request.url, "said": await socket.recv()}).body.decode())

"""The same small API in Falcon."""

# mypy: ignore-errors
# (Falcon is not in the environment of the type checker)

import json

import falcon.asgi


class Item:
    async def on_get(self, req, resp, number):
        resp.media = {"item": number, "url": req.uri, "link": f"{req.prefix}/item/4"}


class Socket:
    async def on_websocket(self, req, socket):
        await socket.accept()
        said = await socket.receive_text()
        await socket.send_text(json.dumps({"url": req.uri, "said": said}))
        await socket.close()


app = falcon.asgi.App()
app.add_route("/item/{number:int}", Item())
app.add_route("/socket", Socket())

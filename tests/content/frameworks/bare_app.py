"""The same small API without a framework."""

# mypy: ignore-errors

import json


async def app(scope, receive, send):
    await receive()
    if scope["type"] == "http" and scope["path"] == "/item/3":
        host = dict(scope["headers"])[b"host"].decode()
        base = f"{scope['scheme']}://{host}{scope['root_path']}"
        said = {"item": 3, "url": base + scope["path"], "link": f"{base}/item/4"}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})
    elif scope["type"] == "websocket" and scope["path"] == "/socket":
        await send({"type": "websocket.accept"})
        said = (await receive())["text"]
        await send({"type": "websocket.send", "text": json.dumps({"said": said})})
        await send({"type": "websocket.close"})

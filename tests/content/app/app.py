"""Shows what reached it, and talks as it is told to."""

# mypy: ignore-errors
# (FastAPI is not in the environment of the type checker)

import asyncio
import importlib.util
import os
import sys
from collections import defaultdict
from contextlib import asynccontextmanager

import h11
import uvicorn
from fastapi import FastAPI, Request, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

#: what test and app say to each other, by a name that the test chose
channels = defaultdict(asyncio.Queue)


@asynccontextmanager
async def lifespan(_app):
    print("it begins", flush=True)
    yield {"begun": True}
    print("it ends", flush=True)


app = FastAPI(lifespan=lifespan)


def seen(scope):
    return {
        **{name: scope[name] for name in ("path", "root_path", "scheme", "server", "client")},
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": [[part.decode("latin-1") for part in header] for header in scope["headers"]],
    }


@app.get("/echo/{rest:path}")
@app.get("/echo")
async def echo(request: Request):
    return {
        **seen(request.scope),
        "url": str(request.url),
        "link": str(request.url_for("echo")),
        "begun": request.state.begun,
    }


@app.get("/slash/")
async def slash():
    return "slash"


@app.post("/upload")
async def upload(file: UploadFile):
    return {"name": file.filename, "size": len(await file.read())}


@app.get("/process")
async def process(names: str):
    return {
        "pid": os.getpid(),
        "versions": {"h11": h11.__version__, "uvicorn": uvicorn.__version__},
        "importable": [name for name in names.split(",") if importlib.util.find_spec(name)],
        "path": sys.path,
        "variables": dict(os.environ),
    }


@app.get("/events")
async def events(name: str):
    async def tell():
        try:
            while text := await channels[name].get():
                yield f"data: {text}\n\n"
        finally:
            channels[f"{name} has ended"].put_nowait(True)

    return StreamingResponse(tell(), media_type="text/event-stream")


@app.post("/say")
async def say(name: str, text: str):
    channels[name].put_nowait(text)


@app.get("/heard")
async def heard(name: str):
    return await channels[name].get()


@app.websocket("/socket")
async def socket(socket: WebSocket, name: str = "", accept: str = ""):
    if accept == "no":
        await socket.close()
        return
    offered = socket.scope["subprotocols"]
    await socket.accept(
        subprotocol=accept or None, headers=[(b"set-cookie", b"a=b; Path=/"), (b"x-app", b"own")]
    )
    await socket.send_json({**seen(socket.scope), "offered": offered, "pid": os.getpid()})
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"], message.get("reason"))
            text = message.get("text") or ""
            if text.startswith("close"):
                _, code, reason = text.split(" ", 2)
                await socket.close(int(code), reason)
                return
            if text == "end":
                os._exit(3)
            if message.get("bytes") is not None:
                await socket.send_bytes(message["bytes"][::-1])
            else:
                await socket.send_text(text[::-1])
    except WebSocketDisconnect as gone:
        channels[name].put_nowait([gone.code, gone.reason])

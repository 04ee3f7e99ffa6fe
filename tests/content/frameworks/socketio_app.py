"""The same small API in FastAPI, behind python-socketio."""

# mypy: ignore-errors
# (python-socketio is not in the environment of the type checker)

import socketio
from fastapi_app import app as api

server = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(server, api)

"""`--watch DIR --debug`: where a debugger attaches to the app, and how VS Code is told of it."""

from __future__ import annotations

import importlib.util
import json
import socket
from pathlib import Path

from local_connect.errors import LocalConnectError
from local_connect.log import log

_HOST = "127.0.0.1"


def find_port(wanted: int) -> int:
    """The port of this machine at which a debugger is to attach; for 0 one that is free.

    Raises `LocalConnectError` where it is taken, or where debugpy is not installed.
    """
    if importlib.util.find_spec("debugpy") is None:
        raise LocalConnectError("--debug needs debugpy: pip install 'local-connect[debug]'")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, wanted))
        except OSError as error:
            raise LocalConnectError(
                f"A debugger cannot attach at port {wanted}: {error.strerror}. "
                "Choose another with --debug-port, or a free one with --debug-port 0."
            ) from error
        port: int = probe.getsockname()[1]
        return port


def announce(port: int, *, source: Path, runs_in: Path) -> None:
    """Print what to copy into VS Code, whose breakpoints are in `source`."""
    configuration = {
        "version": "0.2.0",
        "configurations": [
            {
                "name": f"Attach to {source.name} in local-connect",
                "type": "debugpy",
                "request": "attach",
                "connect": {"host": _HOST, "port": port},
                "pathMappings": [{"localRoot": str(source), "remoteRoot": str(runs_in)}],
            }
        ],
    }
    log("")
    log(f"A debugger attaches at {_HOST}:{port}. For VS Code, .vscode/launch.json:")
    log("")
    log(json.dumps(configuration, indent=4))
    log("")

"""Runs a command that must not outlive the server, however the server dies.

Started by the server as `python lifeline.py FD COMMAND …` in a session of its own. When the
other end of the socket FD is gone it kills the session: the command and all that it started.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading


def main() -> None:
    server = socket.socket(fileno=int(sys.argv[1]))

    def wait() -> None:
        server.recv(1)
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
    sys.exit(subprocess.run(sys.argv[2:], check=False).returncode)


if __name__ == "__main__":
    main()

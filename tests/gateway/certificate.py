"""TLS as a proxy in front of a server has it: it ends here, and goes on as plain HTTP."""

import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Certificate:
    """A certificate for one name, signed by itself."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.path = directory / "certificate.pem"
        self.key = directory / "key.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-nodes", "-days", "2"),
                *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
                *("-keyout", self.key, "-out", self.path),
            ],
            check=True,
            capture_output=True,
        )

    def for_server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context

    def for_client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.path))


@contextmanager
def terminated(certificate: Certificate, to: int | Path) -> Iterator[int]:
    """A port on which TLS is spoken, passed on without it, and nothing else changed.

    `to` is another port, or a Unix socket.
    """
    context = certificate.for_server()
    opened: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, context, to, opened))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            # wakes the thread in accept(), and those of connections that their client leaves open
            for each in (listener, *opened):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in opened:
                each.close()


def _accept(
    listener: socket.socket, context: ssl.SSLContext, to: int | Path, opened: list[socket.socket]
) -> None:
    connections = []
    while True:
        try:
            outside, _ = listener.accept()
        except OSError:
            break
        opened.append(outside.dup())
        connection = threading.Thread(target=_pass_on, args=(outside, context, to))
        connection.start()
        connections.append(connection)
    for connection in connections:
        connection.join()


def _pass_on(plain: socket.socket, context: ssl.SSLContext, to: int | Path) -> None:
    with (
        suppress(OSError),
        context.wrap_socket(plain, server_side=True) as outside,
        _connected(to) as inside,
    ):
        while True:
            ready = [outside] if outside.pending() else select.select([outside, inside], [], [])[0]
            for source in ready:
                data = source.recv(1 << 16)
                if not data:
                    return
                (inside if source is outside else outside).sendall(data)


def _connected(to: int | Path) -> socket.socket:
    if isinstance(to, int):
        return socket.create_connection(("127.0.0.1", to))
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(to))
    return client

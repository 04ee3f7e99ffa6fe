"""TLS as a proxy in front of a server has it: it ends here, and goes on as plain HTTP."""

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Certificate:
    """A certificate for one name, signed by itself."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.path = directory / "certificate.pem"
        self.key = directory / "key.pem"
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        yesterday = datetime.now(UTC) - timedelta(days=1)
        signed = (
            x509.CertificateBuilder(subject, subject, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(yesterday)
            .not_valid_after(yesterday + timedelta(days=3))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.path.write_bytes(signed.public_bytes(Encoding.PEM))
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

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

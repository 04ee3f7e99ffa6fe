"""Astra DB, as far as it goes without one: a bundle of our own, and a service that it leads to.

The driver asks the service at the bundle's address, by TLS and with the bundle's certificate, where
the database is; it connects there by TLS, too, and here to the node that the other tests have.
"""

import http.server
import json
import ssl
import threading
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.examples.cassandra.conftest import EXAMPLE
from tests.gateway.certificate import Certificate, terminated
from tests.targets import Content
from tests.targets.process import DidNotStartError, Process

CATS = "animal/Panthera"
TOKEN = "AstraCS:made-up"


class Service(http.server.ThreadingHTTPServer):
    """Says where the database is; remembers what it was asked, and by whom."""

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, bool]] = []
        self.database = ""
        context = certificate.for_server()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate.path)
        self.socket = context.wrap_socket(self.socket, server_side=True)


class Answer(http.server.BaseHTTPRequestHandler):
    server: Service
    connection: ssl.SSLSocket

    def do_GET(self) -> None:
        self.server.asked.append((self.path, bool(self.connection.getpeercert())))
        contact = {
            "type": "sni_proxy",
            "local_dc": "datacenter1",
            "contact_points": [str(uuid.uuid4())],
            "sni_proxy_address": self.server.database,
        }
        self.send_response(200 if self.server.database else 503)
        self.end_headers()
        self.wfile.write(json.dumps({"contact_info": contact}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing; the test looks at what was asked."""


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate(tmp_path, "localhost")


@pytest.fixture
def service(certificate: Certificate) -> Iterator[Service]:
    with Service(certificate) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.05,))
        thread.start()
        yield service
        service.shutdown()
        thread.join()


@pytest.fixture
def bundle(certificate: Certificate, service: Service, tmp_path: Path) -> Path:
    """A secure connect bundle, with all that the driver reads in it."""
    path = tmp_path / "secure-connect.zip"
    config = {"host": "127.0.0.1", "port": service.server_address[1], "keyspace": "wildlife"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.write(certificate.path, "ca.crt")
        archive.write(certificate.path, "cert")
        archive.write(certificate.key, "key")
    return path


@contextmanager
def example(alone: Process, bundle: Path) -> Iterator[Content]:
    """The example with the bundle, and with nothing that names another database."""
    variables = {
        "CASSANDRA_CONTACT_POINTS": "",
        "CASSANDRA_PORT": "",
        "ASTRA_DB_SECURE_BUNDLE_PATH": str(bundle),
        "ASTRA_DB_APPLICATION_TOKEN": TOKEN,
    }
    content = alone.launch(EXAMPLE, env=variables)
    try:
        yield content
    finally:
        content.close()


def test_the_bundle_leads_to_the_database(
    alone: Process, bundle: Path, service: Service, certificate: Certificate, node: dict[str, str]
) -> None:
    """Away first, as a database that is hibernated is, and found once it is there."""
    with (
        example(alone, bundle) as content,
        terminated(certificate, int(node["CASSANDRA_PORT"])) as port,
    ):
        away = content.get(CATS)
        assert away.status_code == 503
        assert int(away.headers["Retry-After"]) > 0
        assert TOKEN not in away.text

        service.database = f"127.0.0.1:{port}"
        found = content.get(CATS)
        assert found.status_code == 200, found.text
        assert [cat["species"] for cat in found.json()] == ["leo", "pardus", "tigris"]
        # the example's end closes the connections before the proxy ends
        content.close()
    # with the certificate of the bundle, once for each try
    assert service.asked == [("/metadata", True)] * 2


def test_a_bundle_that_is_none(alone: Process, bundle: Path) -> None:
    """What is wrong with it is said by the name of its variable: at the start, or in the answer."""
    bundle.write_bytes(b"no zip")
    with (
        pytest.raises(DidNotStartError, match="ASTRA_DB_SECURE_BUNDLE_PATH"),
        example(alone, bundle),
    ):
        pass

    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("readme.txt", "no config.json")
    with example(alone, bundle) as content:
        answer = content.get(CATS)
        assert answer.status_code == 503
        assert "ASTRA_DB_SECURE_BUNDLE_PATH" in answer.json()["message"]
        assert content.get("").status_code == 200

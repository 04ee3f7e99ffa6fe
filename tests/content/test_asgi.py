"""A FastAPI app, deployed by rsconnect, sees and answers HTTP as it would on Connect."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from tests.content.conftest import VANITY, sign_in, viewer
from tests.deployed import Content
from tests.gateway.wire import Wire
from tests.publishing import archive_of, create, deploy, upload
from tests.servers import LocalConnect


@pytest.fixture(params=["guid", "vanity"])
def mount(request: pytest.FixtureRequest, api: Content) -> str:
    """An address of the app, without a slash at its end."""
    return VANITY if request.param == "vanity" else api.path.rstrip("/")


def test_what_it_sees(server: LocalConnect, mount: str) -> None:
    seen = server.get(f"{mount}/echo/a%2Fb%20c?d=e%20f").json()
    url = urlsplit(server.url)
    assert seen["root_path"] == mount
    assert seen["path"] == f"{mount}/echo/a/b c"
    assert seen["raw_path"] == f"{mount}/echo/a%2Fb%20c"
    assert seen["query"] == "d=e%20f"
    assert seen["scheme"] == "http"
    assert seen["server"] == [url.hostname, url.port]
    assert seen["client"][0] == "127.0.0.1"
    assert seen["client"][1] > 0
    # decoded, as Starlette writes it
    assert seen["url"] == f"{server.url}{mount}/echo/a/b c?d=e%20f"
    assert seen["link"] == f"{server.url}{mount}/echo"
    assert seen["begun"] is True
    assert viewer(seen) == "alice"
    headers = dict(seen["headers"])
    assert headers["host"] == url.netloc
    assert headers["rstudio-connect-app-base-url"].startswith(f"{server.url}/content/")
    assert headers["x-rsc-request"] == f"{server.url}{mount}/echo/a%2Fb%20c?d=e%20f"
    assert len(headers) == len(seen["headers"])


def test_what_it_does_not_see(server: LocalConnect, mount: str) -> None:
    lies = {
        "RStudio-Connect-Credentials": '{"user": "mallory"}',
        "RStudio_Connect_Credentials": '{"user": "mallory"}',
        "X-Local-Connect-Environ": '{"SCRIPT_NAME": "/mallory"}',
        "X-Forwarded-Host": "mallory.test",
        "X-Forwarded-Prefix": "/mallory",
        "Forwarded": "host=mallory.test",
        "X-RSC-Authorization": f"Key {server.users['bob'].api_key}",
        "Cookie": f"a=b; {sign_in(server, 'alice')}",
        "X-Own": "é".encode("latin-1"),
    }
    seen = server.get(f"{mount}/echo", user=None, headers=lies).json()
    assert viewer(seen) == "bob"
    assert "mallory" not in str(seen)
    assert server.users["bob"].api_key not in str(seen)
    headers = dict(seen["headers"])
    assert headers["cookie"] == "a=b"
    assert headers["x-own"] == "é"
    assert not [name for name in headers if "environ" in name]
    assert viewer(server.get(f"{mount}/echo", user=None).json()) is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_without_a_root_it_leads_to_its_console(
    server: LocalConnect, mount: str, method: str
) -> None:
    led = server.request(method, f"{mount}/", user=None)
    assert led.status_code == 307
    assert led.headers["Location"] == f"{mount}/docs"
    assert led.content == b""


def test_its_console(server: LocalConnect, mount: str) -> None:
    assert f"'{mount}/openapi.json'" in server.get(f"{mount}/docs").text
    assert server.get(f"{mount}/openapi.json").json()["servers"] == [{"url": mount}]
    assert server.get(f"{mount}/nowhere").status_code == 404


def test_what_connect_says_of_it(server: LocalConnect, api: Content) -> None:
    assert api.item["app_mode"] == "python-fastapi"
    tags = {job["tag"] for job in server.get(f"{api.api}/jobs").json()}
    assert tags == {"python_restore", "run_fastapi_app"}


def test_its_packages_are_its_own(server: LocalConnect, api: Content) -> None:
    ours = "local_connect,process,asgi,lifeline,aiohttp,sqlalchemy,wsproto"
    process = server.get(f"{api.path}process", params={"names": ours}).json()
    assert process["versions"] == {"h11": "0.14.0", "uvicorn": "0.34.0"}
    assert process["importable"] == []
    assert not [name for name in process["path"] if "local_connect" in name]


def test_bodies(server: LocalConnect, api: Content) -> None:
    size = 5 << 20
    sent = server.request("POST", f"{api.path}upload", files={"file": ("é.bin", b"x" * size)})
    assert sent.json() == {"name": "é.bin", "size": size}
    head = server.request("HEAD", f"{api.path}docs")
    assert head.status_code == 200
    assert int(head.headers["Content-Length"]) > 0
    assert head.content == b""


def test_events_come_at_once_and_end_with_their_visitor(server: LocalConnect, api: Content) -> None:
    def say(text: str) -> None:
        server.request("POST", f"{api.path}say", params={"name": "news", "text": text})

    with httpx.stream("GET", f"{server.url}{api.path}events?name=news", timeout=30) as events:
        lines = (line for line in events.iter_lines() if line)
        for text in ("one", "two"):
            say(text)
            assert next(lines) == f"data: {text}"
    assert server.get(f"{api.path}heard?name=news has ended").json() is True


def test_a_visitor_who_goes_away_while_sending(server: LocalConnect, api: Content) -> None:
    url = urlsplit(server.url)
    assert url.hostname
    with socket.create_connection((url.hostname, url.port or 80)) as connection:
        head = f"POST {api.path}upload HTTP/1.1\r\nHost: {url.netloc}\r\n"
        connection.sendall(f"{head}Content-Length: 100\r\n\r\nhalf".encode())
    assert server.get(f"{api.path}echo").status_code == 200


def test_an_answer_before_the_whole_request(server: LocalConnect, api: Content) -> None:
    head = f"Host: {urlsplit(server.url).netloc}\r\n"
    with Wire(server.url) as visitor:
        for _ in range(2):
            visitor.send(f"POST {api.path}nowhere HTTP/1.1\r\n{head}".encode())
            visitor.send(b"Content-Length: 8\r\n\r\nhalf")
            assert visitor.answer().status == 404
            visitor.send(b"half")
        visitor.send(f"GET {api.path}echo HTTP/1.1\r\n{head}\r\n".encode())
        assert visitor.answer().status == 200


def test_a_wsgi_app_deployed_as_an_asgi_app(server: LocalConnect) -> None:
    source = b"def app(environ, start_response): pass"
    archive = archive_of({"app.py": source}, appmode="python-fastapi", entrypoint="app")
    content = create(server)
    task = deploy(content, upload(content, archive))
    assert server.get(content.path).status_code == 502
    assert "deploy it as api, not as fastapi." in "\n".join(task["output"])

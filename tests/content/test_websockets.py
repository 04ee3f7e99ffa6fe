"""WebSockets between visitors and an ASGI app: what is said, how they end, and as whom."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from tests.content.conftest import VANITY, opened, run, sign_in, viewer
from tests.deployed import Content
from tests.publishing import archive_of, create, deploy, upload
from tests.servers import LocalConnect, eventually, running_server


async def refusal(server: LocalConnect, path: str, **options: Any) -> int:
    """The status of the answer to a handshake that is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with opened(server, path, **options):
            pass
    return refused.value.status


async def ending(socket: aiohttp.ClientWebSocketResponse) -> tuple[int, str]:
    """The code and the reason of the close frame that comes next, answered."""
    message = await socket.receive()
    assert message.type is WSMsgType.CLOSE, message
    await socket.close(code=message.data)
    return int(message.data), message.extra or ""


def transport(socket: aiohttp.ClientWebSocketResponse) -> asyncio.Transport:
    """What the socket's frames are written to."""
    connection = socket._response.connection
    assert connection
    assert connection.transport
    return connection.transport


def test_messages(server: LocalConnect, api: Content) -> None:
    async def talk() -> None:
        async with opened(server, f"{api.path}socket") as socket:
            await socket.receive_json()
            for text in ("hello", "", "é😀", "x" * (1 << 20)):
                await socket.send_str(text)
                assert await socket.receive_str() == text[::-1]
            for data in (b"", b"\0\xff", b"ab" * (1 << 20)):
                await socket.send_bytes(data)
                assert await socket.receive_bytes() == data[::-1]
            # many before the first answer is read
            for number in range(500):
                await socket.send_str(str(number))
            for number in range(500):
                assert await socket.receive_str() == str(number)[::-1]
            await socket.ping(b"still there?")
            await socket.send_str("yes")
            assert await socket.receive_str() == "sey"

    run(talk())


@pytest.mark.parametrize("mount", ["guid", "vanity"])
def test_what_it_sees(server: LocalConnect, api: Content, mount: str) -> None:
    path = VANITY if mount == "vanity" else api.path.rstrip("/")
    lies = {"RStudio-Connect-Credentials": "{}", "X-Forwarded-Proto": "https", "Cookie": "a=b"}

    async def talk() -> Any:
        async with opened(server, f"{path}/socket?x=y", headers=lies) as socket:
            response = socket._response
            assert response.headers["X-App"] == "own"
            assert response.headers["Set-Cookie"] == f"a=b; Path={path}/"
            return await socket.receive_json()

    seen = run(talk())
    assert (seen["root_path"], seen["path"]) == (path, f"{path}/socket")
    assert seen["scheme"] == "ws"
    assert seen["query"] == "x=y"
    headers = dict(seen["headers"])
    assert f"ws://{headers['host']}" == server.url.replace("http", "ws")
    assert headers["cookie"] == "a=b"
    assert viewer(seen) == "alice"
    assert server.users["alice"].api_key not in str(seen)
    assert not [name for name in headers if name.startswith(("x-forwarded", "x-local"))]


def test_subprotocols(server: LocalConnect, api: Content) -> None:
    async def talk(accept: str) -> tuple[Any, str | None]:
        path = f"{api.path}socket?accept={accept}"
        async with opened(server, path, protocols=("one", "two")) as socket:
            return (await socket.receive_json())["offered"], socket.protocol

    assert run(talk("two")) == (["one", "two"], "two")
    assert run(talk("")) == (["one", "two"], None)


def test_one_that_the_app_does_not_accept(server: LocalConnect, api: Content) -> None:
    assert run(refusal(server, f"{api.path}socket?accept=no")) == 403
    assert run(refusal(server, f"{api.path}nowhere")) == 403


def test_many_that_the_app_does_not_accept(server: LocalConnect) -> None:
    """Its server closes the connection of each, which nobody who comes later may be given."""
    api = publish(server, REFUSING)
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }

    async def talk() -> set[int]:
        async with aiohttp.ClientSession() as session:

            async def status(headers: dict[str, str]) -> int:
                async with session.get(server.url + api.path, headers=headers) as answer:
                    return answer.status

            return {*await asyncio.gather(*map(status, [{}, handshake, handshake] * 300))}

    assert run(talk()) == {200, 403}


def test_how_the_app_ends_it(server: LocalConnect, api: Content) -> None:
    async def talk(*words: str) -> tuple[int, str]:
        async with opened(server, f"{api.path}socket") as socket:
            await socket.receive_json()
            await socket.send_str(" ".join(words))
            return await ending(socket)

    assert run(talk("close", "4001", "that is all")) == (4001, "that is all")
    assert run(talk("close", "1000", "")) == (1000, "")


@pytest.mark.parametrize(
    ("how", "code", "reason"),
    [("close", 4002, "enough"), ("close", 1000, ""), ("vanish", 1001, ""), ("break", 1001, "")],
)
def test_how_the_visitor_ends_it(
    server: LocalConnect, api: Content, how: str, code: int, reason: str
) -> None:
    name = f"{how} {code}"

    async def talk() -> None:
        async with opened(server, f"{api.path}socket?name={name}") as socket:
            await socket.receive_json()
            if how == "close":
                await socket.close(code=code, message=reason.encode())
                return
            if how == "break":
                # a frame of a kind that there is none of
                transport(socket).write(b"\x83\x80mask")
                assert (await ending(socket))[0] == 1002
            else:
                transport(socket).abort()

    run(talk())
    assert server.get(f"{api.path}heard?name={name}").json() == [code, reason]


def test_a_message_that_is_too_large(server: LocalConnect, api: Content) -> None:
    async def talk() -> tuple[int, str]:
        async with opened(server, f"{api.path}socket") as socket:
            await socket.receive_json()
            # the beginning of one
            transport(socket).write(b"\x82\xff" + (1 << 25).to_bytes(8, "big") + b"mask")
            return await ending(socket)

    assert run(talk())[0] == 1009


def test_as_whom_a_page_opens_one(server: LocalConnect, api: Content) -> None:
    """A browser sends its cookies with a WebSocket of any page, and says whose page it is."""
    cookie = sign_in(server, "alice")

    async def seen(**headers: str) -> str | None:
        headers["Cookie"] = cookie
        async with opened(server, f"{api.path}socket", user=None, headers=headers) as socket:
            seen = await socket.receive_json()
            assert "local-connect-session" not in str(seen)
            return viewer(seen)

    assert run(seen(Origin=server.url)) == "alice"
    for origin in (
        "http://mallory.test",
        "null",
        server.url.replace("http", "https"),
        server.url.replace("127.0.0.1", "localhost"),
        f"{server.url}0",
    ):
        assert run(seen(Origin=origin)) is None, origin
    assert run(seen(**{"Sec-Fetch-Site": "cross-site"})) is None


def test_who_may_open_one(server: LocalConnect) -> None:
    api = publish(server, PLAIN, access_type="acl")
    own, foreign = server.url, "http://mallory.test"
    cookie = sign_in(server, "alice")
    assert run(refusal(server, api.path, user=None)) == 401
    assert run(refusal(server, api.path, user="bob")) == 403
    with_session = {"Cookie": cookie, "Origin": foreign}
    assert run(refusal(server, api.path, user=None, headers=with_session)) == 401

    async def said(**options: Any) -> str:
        async with opened(server, api.path, **options) as socket:
            return await socket.receive_str()

    assert run(said()) == server.get(api.path).text
    assert run(said(user=None, headers={"Cookie": cookie, "Origin": own})) == run(said())


#: an app that takes no WebSocket
REFUSING = """
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
"""

#: an app without a framework, made by a factory: it says one thing and then waits
PLAIN = """
import asyncio, os

def create_app():
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise RuntimeError("not for me")
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
            return
        if b"slow" in scope["query_string"]:
            await asyncio.sleep(3)
        if b"die" in scope["query_string"]:
            os._exit(3)
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": str(os.getpid())})
        while (await receive())["type"] != "websocket.disconnect":
            os._exit(3)
    return app
"""


def publish(server: LocalConnect, source: str, **fields: Any) -> Content:
    content = create(server, **{"access_type": "all", **fields})
    archive = archive_of({"app.py": source.encode()}, appmode="python-fastapi", entrypoint="app")
    task = deploy(content, upload(content, archive))
    assert task["code"] == 0, "\n".join(task["output"])
    return content


def test_one_is_counted_as_what_it_was_answered(server: LocalConnect) -> None:
    """And not as a request whose visitor went away, as which it ends."""
    api = publish(server, PLAIN)

    async def talk(path: str) -> None:
        async with opened(server, path) as socket:
            await socket.receive_str()

    def counted() -> list[str]:
        lines = server.get("/metrics", user=None).text.splitlines()
        return [
            line.rpartition("}")[0].partition("status=")[2]
            for line in lines
            if line.startswith("connect_content_requests_total") and api.guid in line
        ]

    run(talk(api.path))
    assert eventually(lambda: counted() == ['"101"'])


def test_a_process_that_ends_before_it_accepts(server: LocalConnect) -> None:
    api = publish(server, PLAIN)
    assert run(refusal(server, f"{api.path}?die")) == 502
    assert server.get(api.path).status_code == 200


def test_an_open_websocket_and_its_process(server: LocalConnect) -> None:
    """An open one is a request under way, and is told when its process is replaced or ends."""
    api = publish(server, PLAIN)

    def pid() -> str:
        return server.get(api.path).text

    def change(**settings: int) -> None:
        before = pid()
        server.request("PATCH", api.api, json=settings).raise_for_status()
        assert eventually(lambda: pid() != before)

    change(idle_timeout=1)

    async def talk() -> None:
        async with opened(server, api.path) as socket:
            before = await socket.receive_str()
            # longer than it may idle
            await asyncio.sleep(3)
            assert await asyncio.to_thread(pid) == before
            await asyncio.to_thread(change, read_timeout=1)
            assert await ending(socket) == (1012, "")
        async with opened(server, api.path, autoping=False) as socket:
            assert await socket.receive_str()
            # a visitor who does not answer is taken to be gone
            assert (await socket.receive()).type is WSMsgType.PING
            assert (await socket.receive()).type is WSMsgType.CLOSED
        # an app takes the time that it takes
        async with opened(server, f"{api.path}?slow") as socket:
            assert await socket.receive_str()
        async with opened(server, api.path) as socket:
            assert await socket.receive_str()
            await socket.send_str("and so it ends")
            assert await ending(socket) == (1012, "")

    run(talk())


def test_when_the_server_stops(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_server(tmp_path_factory.mktemp("stops") / "data") as server:
        api = publish(server, PLAIN)

        async def talk() -> None:
            async with opened(server, api.path) as socket:
                assert await socket.receive_str()
                server.process.terminate()
                assert await ending(socket) == (1001, "")

        run(talk())
        server.stop()

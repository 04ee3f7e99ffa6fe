"""What the pages say, and what they refuse, without a server."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from local_connect.access.addresses import Addresses
from local_connect.api.common import SERVICES
from local_connect.dashboard import again, answers, as_seen_by, pages, requests
from local_connect.dashboard.items import Item
from local_connect.errors import ApiError, BadRequest, NotDeployed
from local_connect.gateway.inspection import INSPECTOR, Inspector
from local_connect.gateway.recorder import BODY_BYTES, Recorder, Recording
from local_connect.records.store import Content

pytestmark = pytest.mark.quick


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a server that does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"


def item(content: Content) -> Item:
    return Item(
        content=content,
        owner="alice",
        state="",
        path="/content/guid/",
        runs=(),
        may_open=True,
        may_change=True,
    )


def recorded(method: str = "GET", **headers: str) -> Recording:
    sent = CIMultiDict({"Host": "connect.example.com", **headers})
    return Recorder().begin("guid", "/content/guid/", method, "/content/guid/x", sent)


def send_again(recording: Recording, app: web.Application | None = None) -> int:
    request = make_mocked_request("POST", "/", app=app or web.Application())
    return asyncio.run(again.send(request, recording, ""))


def test_a_body_that_is_not_kept_whole_is_not_sent_again() -> None:
    recording = recorded("POST")
    recording.keep_body(b"x" * (BODY_BYTES + 1))
    with pytest.raises(BadRequest, match=r"has 16,385 bytes, and only the first 16,384 are kept"):
        send_again(recording)


def test_a_websocket_is_not_opened_again() -> None:
    recording = recorded()
    recording.status = 101
    with pytest.raises(BadRequest, match="It is a WebSocket"):
        send_again(recording)


def test_a_request_that_does_not_arrive_again_says_why(deaf: str) -> None:
    app = web.Application()
    app[INSPECTOR] = Inspector(Recorder(), cast(Any, None), cast(Any, None))
    app[SERVICES] = cast(Any, SimpleNamespace(deploys=SimpleNamespace(server_url=deaf)))
    with pytest.raises(ApiError, match="It could not be sent again: Cannot connect") as raised:
        send_again(recorded(), app)
    assert raised.value.status == 502


def test_content_that_does_not_answer_is_shown_with_the_reason(deaf: str) -> None:
    app = web.Application()
    app[SERVICES] = cast(
        Any,
        SimpleNamespace(
            deploys=SimpleNamespace(server_url=deaf),
            identities=SimpleNamespace(all=list),
            exchange=SimpleNamespace(last=0, acts=lambda *_: []),
        ),
    )
    request = make_mocked_request("POST", "/", app=app)
    content = Content(name="greetings", owner_guid="")
    (nobody,) = asyncio.run(as_seen_by.ask(request, content, "hello"))
    assert (nobody.who, nobody.status) == ("Nobody", 0)
    assert nobody.text.startswith("No answer: Cannot connect to host ")


def test_there_is_no_news_of_requests_that_are_not_recorded() -> None:
    request = make_mocked_request("GET", "/", app=web.Application())
    content = Content(name="greetings", owner_guid="")
    assert requests.news(request, item(content), 0, set()) == []


def test_a_request_is_news_when_it_comes_and_when_it_ends() -> None:
    app = web.Application()
    recorder = Recorder()
    secrets = SimpleNamespace(secrets=list)
    app[INSPECTOR] = Inspector(recorder, cast(Any, secrets), cast(Any, secrets))
    content = Content(name="greetings", owner_guid="")
    recording = recorder.begin(
        content.guid, "/content/guid", "GET", "/content/guid/x", CIMultiDict({})
    )
    request = make_mocked_request("GET", "/", app=app)
    under_way: set[int] = set()

    def news(since: int) -> list[int]:
        return [row["number"] for row in requests.news(request, item(content), since, under_way)]

    number = recording.number
    assert news(number - 1) == [number]
    assert news(number) == []
    recording.end()
    assert news(number) == [number]
    assert news(number) == []


@pytest.mark.parametrize(
    ("content_type", "body", "sent"),
    [
        ("", b"caf\xe9", "--header Content-Type: --data-binary @body"),
        ("", b"cafe", "--header Content-Type: --data-raw cafe"),
        ("text/plain", b"cafe", "--header 'Content-Type: text/plain' --data-raw cafe"),
    ],
)
def test_a_body_is_sent_by_curl_as_it_came(content_type: str, body: bytes, sent: str) -> None:
    """From a file where it is no text, and as of no type where it was of none."""
    app = web.Application()
    secrets = SimpleNamespace(secrets=list)
    app[INSPECTOR] = Inspector(Recorder(), cast(Any, secrets), cast(Any, secrets))
    app[SERVICES] = cast(Any, SimpleNamespace(addresses=Addresses("localhost", None)))
    recording = recorded("POST", **({"Content-Type": content_type} if content_type else {}))
    recording.keep_body(body)
    request = make_mocked_request("GET", "/", headers={"Host": "localhost"}, app=app)
    command, _ = requests._curl(request, recording)
    assert sent in command


def test_a_browser_gets_why_content_was_not_deployed() -> None:
    request = make_mocked_request("GET", "/content/guid/hello?a=b")
    page = pages.refuse(request, NotDeployed("greetings", "RuntimeError: <broken>"), None)
    assert page.status == 500
    assert page.text
    assert "greetings was not deployed" in page.text
    assert "RuntimeError: &lt;broken&gt;" in page.text
    assert 'href="/content/guid/hello?a=b"' in page.text


@pytest.mark.parametrize(
    ("number", "told"), [(None, "not yet"), (0.0123, "12.3 ms"), (1.5, "1.5 s")]
)
def test_a_span_of_time_is_for_reading(number: float | None, told: str) -> None:
    assert pages.seconds(number) == told


@pytest.mark.parametrize(("status", "phrase"), [(404, "Not Found"), (0, ""), (299, "")])
def test_a_status_that_has_no_name_is_shown_without(status: int, phrase: str) -> None:
    assert as_seen_by.AsSeenBy("alice", status, "").phrase == phrase


@pytest.mark.parametrize(("limit", "found"), [(1000, b"first, second"), (8, b"first, s")])
def test_an_answer_without_an_end_is_shown_as_far_as_it_came(
    monkeypatch: pytest.MonkeyPatch, limit: int, found: bytes
) -> None:
    monkeypatch.setattr(answers, "_PATIENCE", 0.05)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first, "
        yield b"second"
        await asyncio.Event().wait()

    endless = cast(Any, SimpleNamespace(content=SimpleNamespace(iter_any=pieces)))
    assert asyncio.run(answers.beginning(endless, limit)) == found

"""What the gallery's commands refuse, and how they end before they are done."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from scripts import gallery
from scripts.__main__ import main
from scripts.connect import Client, Server
from scripts.progress import Progress
from scripts.services import Unavailable
from tests.catalogue import EXAMPLES

SERVER = Server("https://connect.example.com", "key")
NAME = "my-api"


@pytest.mark.quick
def test_ctrl_c_ends_a_command_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gallery, "sync", interrupted)
    monkeypatch.setattr(sys, "argv", ["scripts", "sync"])
    with pytest.raises(SystemExit) as ended:
        main()
    # as a shell says it of SIGINT
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.quick
def test_what_waits_for_its_turn_is_not_deployed_after_ctrl_c(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = []

    def prepare(example: str, _: Progress) -> dict[str, str]:
        begun.append(example)
        if example == examples[0]:
            raise KeyboardInterrupt
        time.sleep(0.05)
        raise Unavailable("it has no Java")

    examples = [f"{NAME}-{number}" for number in range(20)]
    monkeypatch.setattr(gallery, "AT_A_TIME", 1)
    monkeypatch.setattr(gallery, "say_where", lambda _: (SERVER, "guid"))
    with pytest.raises(KeyboardInterrupt):
        gallery.deploy(examples, "", new=False, prepare=prepare)
    assert examples[-1] not in begun


@pytest.mark.quick
def test_content_that_is_gone_before_it_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = {"/__api__/v1/user": {"guid": "alice"}, "/__api__/v1/content": []}

    @contextmanager
    def connected(server: Server) -> Iterator[Client]:
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json=answers[request.url.path])

        with httpx.Client(transport=httpx.MockTransport(answer)) as http:
            yield Client(server, http)

    monkeypatch.setattr(gallery, "find_server", lambda _: SERVER)
    monkeypatch.setattr(gallery, "connected", connected)
    with pytest.raises(gallery.Refused, match=f"{EXAMPLES[0].directory} is not there any more."):
        gallery.show([EXAMPLES[0].directory], tmp_path)


def test_a_release_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = "echo There are no tables.; exit 3"
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "Procfile").write_text(f"web: true\nrelease: {command}\n", "utf-8")
    (tmp_path / NAME / "requirements.txt").touch()
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    heard: list[str] = []
    with pytest.raises(gallery.Refused) as refused:
        gallery.release(NAME, {}, heard.append)
    assert str(refused.value) == f"{NAME}: `{command}` ended with status 3."
    assert heard == [command, "There are no tables."]


def test_a_manifest_that_rsconnect_does_not_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rsconnect = tmp_path / "rsconnect"
    rsconnect.write_text("#!/bin/sh\necho 'Error: no app.' >&2\nexit 1\n", "utf-8")
    rsconnect.chmod(0o755)
    monkeypatch.setattr(gallery, "RSCONNECT", str(rsconnect))
    example = EXAMPLES[0].directory
    with pytest.raises(gallery.Refused) as refused:
        gallery.manifest(example, gallery.catalogue()[example])
    assert str(refused.value) == f"{example} has no manifest.\nError: no app.\n"

"""The real `local-connect`, run as its users run it: a process of its own, on a free port."""

import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from local_connect.testing import User

LOCAL_CONNECT = Path(sys.executable).with_name("local-connect")

#: for every client: each would take 20 ms of the processor to read the certificates anew
CERTIFICATES = ssl.create_default_context()

#: seconds that a server may take to start, and to stop
PATIENCE = 60

_ADDRESS = re.compile(r"serves at (http://\S+) ")
_ADMINISTRATOR = re.compile(r"^ .+ administrator +key (\S+) ", re.MULTILINE)


class LocalConnect:
    """A server that answers. Made by `running_server`."""

    def __init__(self, data: Path, *options: str, path: str = "") -> None:
        self.data = data
        self.process = start(data, *options, path=path)
        self.client = httpx.Client(timeout=60, trust_env=False, verify=CERTIFICATES)
        try:
            key = self._wait_for(_ADMINISTRATOR)
            self.client.base_url = self._wait_for(_ADDRESS)
            # it says where it is only once it is there
            self.client.get("/__local__/health").raise_for_status()
            users = self.client.get("/__local__/users", headers={"Authorization": f"Key {key}"})
            self.users = {
                user["username"]: User(**user) for user in users.raise_for_status().json()
            }
        except BaseException:
            self.kill()
            raise

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return str(self.client.base_url).rstrip("/")

    @property
    def session_cookie(self) -> str:
        """The name of the cookie of a browser that has signed in."""
        return f"local-connect-session-{self.client.base_url.port}"

    @property
    def output(self) -> str:
        """What it has printed since it started."""
        return output_file(self.data).read_text("utf-8")

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def request(
        self, method: str, path: str, *, user: str | None = "alice", **options: Any
    ) -> httpx.Response:
        """Send one request with the key of `user`, or with none; redirects are not followed."""
        headers = httpx.Headers(options.pop("headers", None))
        if user:
            headers["Authorization"] = f"Key {self.users[user].api_key}"
        return self.client.request(method, path, headers=headers, **options)

    def get(self, path: str, *, user: str | None = "alice", **options: Any) -> httpx.Response:
        return self.request("GET", path, user=user, **options)

    def stop(self) -> None:
        """Stop it as Ctrl-C or a service manager does; it must end well."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"It did not stop.\n{self.output}") from None
        assert status == 0, f"It ended with status {status}.\n{self.output}"
        # content's own lines begin with the content's name
        assert "\nTraceback" not in self.output, self.output

    def kill(self) -> None:
        """End it as a crash would: it gets no chance to tidy up."""
        self.client.close()
        self.process.kill()
        self.process.wait(PATIENCE)

    def _wait_for(self, pattern: re.Pattern[str]) -> str:
        deadline = time.monotonic() + PATIENCE
        while not (match := pattern.search(self.output)):
            assert self.running, f"local-connect did not start.\n{self.output}"
            assert time.monotonic() < deadline, f"It does not say where it is.\n{self.output}"
            time.sleep(0.02)
        return match[1]


@contextmanager
def running_server(data: Path, *options: str, path: str = "") -> Iterator[LocalConnect]:
    """A server on the data directory `data`, stopped at the end unless it already was.

    `path` is a PATH for it in place of the usual short one.
    """
    server = LocalConnect(data, *options, path=path)
    with closing(server.client):
        try:
            yield server
        except BaseException:
            server.kill()
            raise
        if server.running:
            server.stop()


def start(data: Path, *options: str, path: str = "") -> subprocess.Popen[bytes]:
    """Start `local-connect` on a free port, unless the options name one, without waiting for it."""
    with output_file(data).open("wb") as output:
        return subprocess.Popen(
            [LOCAL_CONNECT, "--port", "0", "--data", data, *options],
            env=environment() | ({"PATH": path} if path else {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def run(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `local-connect` to its end: with a command, or with something that stops it at once."""
    return subprocess.run(
        [LOCAL_CONNECT, "--port", "0", "--data", data, *options],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


def environment() -> dict[str, str]:
    """This process's environment, less what would direct the server or its command elsewhere.

    Its PATH is short, as every interpreter on it costs each server a while to look at: those
    of pyenv that are not switched on most of all.
    """
    own = Path(sys.executable).resolve().parent
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CONNECT_", "LOCAL_CONNECT_"))
    }
    return {**inherited, "PATH": f"{own}{os.pathsep}{os.defpath}"}


def output_file(data: Path) -> Path:
    return data.with_name(f"{data.name}.log")


def content_processes(data: Path) -> list[str]:
    """Whatever runs by an environment of this data directory."""
    return processes_that_name(str(data.resolve() / "environments"))


def processes_that_name(directory: str) -> list[str]:
    """The process number and the command line of whatever has the directory in that."""
    running = psutil.process_iter(["pid", "cmdline"])
    lines = (f"{each.info['pid']} {' '.join(each.info['cmdline'] or ())}" for each in running)
    return [line for line in lines if directory in line]


def wait_until_none_is_left(data: Path) -> None:
    deadline = time.monotonic() + 5
    while (left := content_processes(data)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def eventually(true: Callable[[], bool], *, seconds: float = 15) -> bool:
    """Whether it becomes true within some seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True

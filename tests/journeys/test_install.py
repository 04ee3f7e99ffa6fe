"""The package, installed away from its checkout."""

import re
import subprocess
from importlib.metadata import distribution, version

from tests.catalogue import ROOT
from tests.newcomers import Installed, Newcomer

#: what the newcomer's command asks of the server that it runs beside
VISIT = """
import os, re, subprocess, urllib.request

def page(address, **headers):
    request = urllib.request.Request(address, headers=headers)
    return urllib.request.urlopen(request).read().decode()

server, key = os.environ["CONNECT_SERVER"], os.environ["CONNECT_API_KEY"]
deploy = ["rsconnect", "deploy", "api", "--quiet", "my-api"]
address = subprocess.run(deploy, check=True, capture_output=True, text=True).stdout.strip()
print(page(address + "hello", Authorization="Key " + key))
print(page(server + "/__login__"))
print(page(server + "/__local__/static/style.css"))
"""


def test_wheel_and_checkout_hold_the_whole_package(
    from_wheel: Installed, from_checkout: Installed
) -> None:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "local_connect"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    tracked = sorted(filter(None, listing.stdout.split("\0")))
    assert "local_connect/py.typed" in tracked
    assert from_wheel.files == tracked
    assert from_checkout.files == tracked


def test_dependencies_are_few_and_bounded() -> None:
    requirements = distribution("local-connect").requires or []
    own = [requirement for requirement in requirements if "extra ==" not in requirement]
    assert len(own) <= 18
    for requirement in requirements:
        assert re.search(r"<\d", requirement), f"{requirement} has no upper bound"
        assert re.search(r">=\d", requirement), f"{requirement} has no lower bound"


def test_an_api_that_is_not_ours(newcomer: Newcomer) -> None:
    said = newcomer.run("local-connect", "--version").stdout
    assert said == f"local-connect, version {version('local-connect')}\n"
    newcomer.write("visit.py", VISIT)
    done = newcomer.run("local-connect", "--port", "0", "--", "python", "visit.py")
    assert done.returncode == 0, done.stdout
    assert '{"hello":"admin"}' in done.stdout
    assert "Who is visiting?" in done.stdout
    assert "color-scheme" in done.stdout


def test_without_the_extra(sparing_newcomer: Newcomer) -> None:
    """The plugin is loaded, costs nothing, and says what it lacks only where it is asked."""
    sparing_newcomer.write("test_a.py", "def test_nothing_of_ours():\n    pass\n")
    done = sparing_newcomer.run("pytest", "-q", "-W", "error", "test_a.py")
    assert done.returncode == 0, done.stdout
    sparing_newcomer.write("test_b.py", "def test_ours(local_connect):\n    pass\n")
    done = sparing_newcomer.run("pytest", "-q", "test_b.py")
    assert done.returncode == 1
    assert "pip install 'local-connect[pytest]'" in done.stdout
    assert "Traceback" not in done.stdout

    done = sparing_newcomer.run("local-connect", "--port", "0", "--watch", "my-api")
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert line.startswith("Error: rsconnect")
    assert line.endswith("pip install rsconnect-python")

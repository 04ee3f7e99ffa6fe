"""ASGI apps below their mount, whatever they are written in: routes, URLs, redirects, docs.

Each app runs in a content process by itself, in an environment with the releases named here.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.content.running import BASE, Running, running
from tests.publishing import archive_of, create, deploy, upload
from tests.servers import LocalConnect
from tests.targets.environments import environment

FRAMEWORKS = Path(__file__).with_name("frameworks")

MOUNTS = ("/content/0f8fad5b-d9cb-469f-a165-70867728950e", "/team/my-api")

#: environments: one for each release of Starlette that reads its mount in another way, with the
#: last release of the other frameworks before they came to read it in another way
RELEASES = {
    "FastAPI 0.95": """
        fastapi==0.95.2
        quart==0.18.4
        werkzeug<3
        sanic==22.12.0
        falcon==3.1.3
        litestar==2.0.0
        django==4.2.20
        channels==4.0.0
        blacksheep==2.0.8
        """,
    "FastAPI 0.104": "fastapi==0.104.1",
    "FastAPI 0.108": "fastapi==0.108.0",
    "FastAPI 0.109": "fastapi==0.109.0",
    "Starlette 0.33": "starlette==0.33.0",
    "newest": """
        fastapi
        quart
        sanic
        falcon
        litestar
        django
        channels
        blacksheep
        connexion[swagger-ui]
        python-socketio
        """,
}

#: one environment for all that is deployed here
DEPLOYED = b"fastapi==0.104.1\nfalcon\nsanic\n"


class App(NamedTuple):
    releases: str
    entrypoint: str
    #: whether a missing slash at the end of a path redirects
    redirects: bool = True
    #: whether it has a WebSocket
    sockets: bool = True
    #: whether the framework has the URL of a request right, wherever the app is
    knows_url: bool = True
    #: a page that describes it, and what that page leads to
    docs: str = ""
    spec: str = ""

    def __str__(self) -> str:
        return f"{self.entrypoint.replace('_app:app', '')}-{self.releases}".replace(" ", "-")


APPS = [
    *(
        App(releases, "fastapi_app:app", docs="/docs", spec="{mount}/openapi.json")
        for releases in RELEASES
        if "FastAPI" in releases or releases == "newest"
    ),
    App("Starlette 0.33", "starlette_app:app"),
    App("newest", "starlette_app:wrapped"),
    App("newest", "starlette_app:holding_another"),
    App("newest", "starlette_app:hidden", knows_url=False),
    App("FastAPI 0.95", "quart_app:app", knows_url=False),
    App("newest", "quart_app:wrapped"),
    *(
        app
        for releases in ("FastAPI 0.95", "newest")
        for app in (
            App(releases, "sanic_app:app", redirects=False),
            App(releases, "falcon_app:app", redirects=False),
            App(releases, "litestar_app:app", redirects=False),
            App(releases, "django_app:app"),
            App(releases, "blacksheep_app:app", redirects=False, docs="/docs"),
        )
    ),
    App("newest", "django_app:http", sockets=False),
    App(
        "newest",
        "connexion_app:app",
        redirects=False,
        sockets=False,
        docs="/ui",
        spec="{mount}/openapi.json",
    ),
    App("newest", "bare_app:app", redirects=False),
]


@pytest.fixture(scope="session")
def cache(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.cache.mkdir("environments"))


def python(releases: str, cache: Path, scratch: Path) -> Path:
    """The interpreter of the environment with these releases."""
    if releases == "FastAPI 0.95" and sys.version_info >= (3, 13):
        pytest.skip(
            "Releases of the time of FastAPI 0.95 are not built for this Python. What brings "
            "them: make test by Python 3.12 or 3.11."
        )
    requirements = scratch / "requirements.txt"
    requirements.write_text("\n".join(RELEASES[releases].split()) + "\n")
    return environment(requirements, cache)


@pytest.mark.parametrize("app", APPS, ids=str)
def test_what_is_below_the_mount(app: App, cache: Path, tmp_path: Path) -> None:
    async def look() -> None:
        interpreter = python(app.releases, cache, tmp_path)
        async with running(tmp_path, interpreter, FRAMEWORKS, app.entrypoint) as process:
            for mount in MOUNTS:
                await look_below(process, mount, app)

    asyncio.run(look())


async def look_below(process: Running, mount: str, app: App) -> None:
    base = BASE + mount
    answer = await process.get(mount, "/item/3?a=b")
    assert answer.status_code == 200, answer.text
    seen: dict[str, Any] = answer.json()
    assert seen["item"] in (3, "3")
    assert not app.knows_url or seen["url"].partition("?")[0] == f"{base}/item/3"
    assert seen["link"] == f"{base}/item/4"
    assert (await process.get(mount, "/nowhere")).status_code == 404
    if app.redirects:
        redirect = await process.get(mount, "/folder")
        assert redirect.status_code in (301, 307, 308)
        assert redirect.headers["Location"].removeprefix(BASE) == f"{mount}/folder/"
    if app.sockets:
        heard = await process.talk(mount, "/socket", "hello")
        assert heard["said"] == "hello"
        if app.knows_url and "url" in heard:
            assert heard["url"].endswith(f"//connect.test{mount}/socket")
    if app.docs:
        page = await process.get(mount, app.docs)
        if page.is_redirect:
            assert page.headers["Location"] == f"{mount}{app.docs}/"
            page = await process.get(mount, f"{app.docs}/")
        assert page.status_code == 200
        assert app.spec.format(mount=mount) in page.text


def test_what_python_socketio_tells_apart(cache: Path, tmp_path: Path) -> None:
    async def look() -> None:
        interpreter = python("newest", cache, tmp_path)
        async with running(tmp_path, interpreter, FRAMEWORKS, "socketio_app:app") as process:
            own = await process.get(MOUNTS[0], "/socket.io/?EIO=4&transport=polling")
            assert '"sid"' in own.text
            assert (await process.get(MOUNTS[0], "/item/3")).json()["item"] == 3

    asyncio.run(look())


@pytest.mark.parametrize("name", ["fastapi_app", "falcon_app", "sanic_app", "bare_app"])
def test_once_deployed(server: LocalConnect, name: str) -> None:
    source = (FRAMEWORKS / f"{name}.py").read_bytes()
    files = {"requirements.txt": DEPLOYED, "app.py": source}
    content = create(server, access_type="all")
    archive = archive_of(files, appmode="python-fastapi", entrypoint="app:app")
    task = deploy(content, upload(content, archive))
    assert task["code"] == 0, "\n".join(task["output"])
    vanity = f"/{name}"
    server.request("PUT", f"{content.api}/vanity", json={"path": vanity}).raise_for_status()
    for mount in (content.path.rstrip("/"), vanity):
        seen = server.get(f"{mount}/item/3", user=None).json()
        assert seen["url"] == f"{server.url}{mount}/item/3"
        assert seen["link"] == f"{server.url}{mount}/item/4"

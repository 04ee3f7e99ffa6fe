"""What the Makefile does with the catalogue: check, deploy, show and copy."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from local_connect.client.rsconnect import plain
from scripts import services
from scripts.connect import FROM_ENVIRONMENT, Server, ServerError, connected, find_server
from scripts.progress import Progress
from scripts.services.keeper import kept

ROOT = Path(__file__).resolve().parent.parent

RSCONNECT = str(Path(sys.executable).with_name("rsconnect"))
HONCHO = str(Path(sys.executable).with_name("honcho"))
UV = str(Path(sys.executable).with_name("uv"))

#: how rsconnect begins the line that says where content is
_WHERE = "Direct content URL: "

#: deployments at a time
AT_A_TIME = 4

#: what a directory, a table, a make target and Connect's name of content can all be called
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

#: what is in an example's directory but not of the example
_NOT_COPIED = (".*", "__pycache__", "node_modules", "rsconnect-python", "manifest.json")

#: what is hidden and of the example all the same, but of no use to Connect
_HIDDEN = (".env.example", ".gitignore", ".npmrc")

#: where an example's README shows its console
_PICTURE = re.compile(r"^!\[.*\]\(\.\./docs/images/.*\)\n\n", re.MULTILINE)


class Refused(Exception):
    """Something that is not done, and why."""


#: what is told in one line
FAILURES = (ServerError, Refused, services.Unavailable)


def catalogue() -> dict[str, dict[str, Any]]:
    """The examples by their directories, in the order of gallery.toml."""
    return tomllib.loads((ROOT / "gallery.toml").read_text("utf-8"))


def say_where(name: str) -> tuple[Server, str]:
    """Print where a deployment would go, and whose it would be; the server and that user's GUID."""
    where = find_server(name)
    with connected(where) as client:
        owner = client.me()
    print(f"{where.url}, as {owner['username']}", flush=True)
    return where, owner["guid"]


def deploy(
    examples: Iterable[str],
    name: str,
    *,
    new: bool,
    prepare: Callable[[str, Progress], Mapping[str, str]] | None = None,
) -> dict[str, str]:
    """Deploy examples by the real rsconnect, some at a time, and tell how far each is.

    `prepare` is called with each example before it is deployed, and gives the variables that it
    finds its services by, or raises `Unavailable` where it is to be left out; without it they are
    what this process's environment has. Returns where the examples are that are not left out.
    Raises `Refused` where one of them fails; the others are deployed all the same.
    """
    where, owner_guid = say_where(name)

    failed: list[str] = []

    def work(example: str) -> str | None:
        progress.begin(example)
        try:
            variables = (prepare or _given)(example, progress)
            address = _deploy(
                example, where, owner_guid, progress, name=name, new=new, variables=variables
            )
        except services.Unavailable as error:
            progress.leave_out(example, str(error))
            return None
        except (Refused, ServerError) as error:
            progress.fail(example, str(error))
            failed.append(example)
            return None
        progress.end(example, "live")
        return address

    examples = list(examples)
    with Progress(examples) as progress, ThreadPoolExecutor(AT_A_TIME) as clients:
        try:
            addresses = dict(zip(examples, clients.map(work, examples), strict=True))
        except BaseException:
            clients.shutdown(wait=False, cancel_futures=True)
            raise
    there = {example: address for example, address in addresses.items() if address is not None}
    if failed:
        raise Refused(f"{len(failed)} of {len(there) + len(failed)} are not deployed.")
    return there


def _given(example: str, progress: Progress) -> dict[str, str]:
    """What this process's environment says of the services that the example stands on."""
    variables: dict[str, str] = {}
    for service in catalogue()[example].get("services", ()):
        given = services.given(service)
        if not given:
            needed = services.load(service).VARIABLES[0]
            progress.note(
                example,
                f"{needed} is not set, so it is deployed without {service}, and answers 503. "
                f"To give it one: {needed}=<where it is> make deploy-{example}",
            )
        variables |= given
    return variables


def _deploy(
    example: str,
    where: Server,
    owner_guid: str,
    progress: Progress,
    *,
    name: str,
    new: bool,
    variables: Mapping[str, str],
) -> str:
    """Deploy one example to its content, and say where that is.

    Raises `ServerError` or `Refused` where it fails.

    The caller's content of the example's name is updated, and made first where there is
    none, so that a fresh checkout does not make a second. rsconnect's own choice of a name
    would dodge other people's content of that name, and not be found again. That choice is
    what `new` leaves it: content beside what is there, which no later deployment finds.
    """
    about = catalogue()[example]
    if new:
        content = ["--new"]
    else:
        with connected(where) as client:
            found = client.find(owner_guid, example) or client.create(example, about["title"])
        content = ["--app-id", found["guid"]]
    target = ["--name", name] if name else []
    address = ""

    def hear(line: str) -> None:
        nonlocal address
        if line.strip().startswith(_WHERE):
            address = line.strip().removeprefix(_WHERE)
        progress.hear(example, line)

    status = _rsconnect(
        hear,
        *("deploy", "api", *target),
        *("--entrypoint", about["entrypoint"]),
        *_excluded(about),
        # rsconnect takes the value from its environment, so that no list of processes shows it
        *(option for variable in variables for option in ("-E", variable)),
        *content,
        str(ROOT / example),
        variables=variables,
    )
    if status:
        raise Refused(f"rsconnect ended with status {status}.")
    return address


def _excluded(about: Mapping[str, Any]) -> list[str]:
    """The options that keep files of an example out of its bundle."""
    return [option for pattern in about.get("exclude", ()) for option in ("--exclude", pattern)]


def _rsconnect(hear: Callable[[str], None], *arguments: str, variables: Mapping[str, str]) -> int:
    """Run rsconnect, and hear each line that it prints; its status."""
    environment = {**os.environ, **variables, "PYTHONUNBUFFERED": "1"}
    if "--name" in arguments:
        for variable in FROM_ENVIRONMENT:
            environment.pop(variable, None)
    return _heard(hear, [RSCONNECT, *arguments], environment)


def _heard(
    hear: Callable[[str], None],
    command: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path | None = None,
) -> int:
    """Run a command, and hear each line that it prints; its status."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None  # noqa: S101 (it is a pipe, by the call above)
        for line in process.stdout:
            hear(plain(line.rstrip()))
    return process.returncode


def up() -> None:
    """Deploy every example that can run here, with its services and processes beside it, and show.

    What cannot run here is left out, and said.
    """
    examples = catalogue()
    with ExitStack() as stack, ThreadPoolExecutor() as starting:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gallery-")))
        # side by side, while what needs none of them is deployed
        started = {
            service: starting.submit(stack.enter_context, services.running([service]))
            for service in dict.fromkeys(_services(examples))
        }

        def prepare(example: str, progress: Progress) -> dict[str, str]:
            variables: dict[str, str] = {}
            for service in _services([example]):
                variables |= started[service].result()
            release(example, variables, partial(progress.hear, example))
            stack.enter_context(beside(example, variables, log=logs / f"{example}.log"))
            return variables

        show(deploy(examples, "", new=False, prepare=prepare), logs)


def _services(examples: Iterable[str]) -> Iterator[str]:
    """What the examples stand on."""
    for example in examples:
        yield from catalogue()[example].get("services", ())


def run(example: str, arguments: Sequence[str]) -> int:
    """Run one example by itself, reloading, with its services and processes beside it; the status.

    Its `Procfile.dev`, where there is one, says what runs; else it is Flask with these arguments.
    Raises `Unavailable` where a service cannot be started.
    """
    if (ROOT / example / "Procfile.dev").exists():
        command = [HONCHO, "start", "--procfile", "Procfile.dev", *arguments]
    else:
        command = ["flask", "--app", "app", "run", "--debug", *arguments]
    with ExitStack() as stack:
        variables = stack.enter_context(services.running(_services([example])))
        release(example, variables, print)
        stack.enter_context(beside(example, variables))
        process = subprocess.Popen(
            [*_inside(), *command], cwd=ROOT / example, env={**os.environ, **variables}
        )
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # the terminal has told it, too
                continue


@contextmanager
def beside(
    example: str, variables: Mapping[str, str], *, log: Path | None = None
) -> Iterator[None]:
    """What an example's `Procfile` has besides `web` and `release`, until the end.

    It prints to the file `log`, else where this process does.
    """
    names = [name for name in _procfile(example) if name not in ("web", "release")]
    if not names:
        yield
        return
    with kept(
        [*_inside(), HONCHO, "start", *names],
        cwd=ROOT / example,
        env={**os.environ, **variables, "PYTHONUNBUFFERED": "1"},
        log=log,
    ):
        yield


def release(example: str, variables: Mapping[str, str], hear: Callable[[str], None]) -> None:
    """Run what an example's `Procfile` calls `release` to its end, as is done before it goes live.

    `hear` is called with the command, and with each line that it prints. Raises `Refused` where it
    fails.
    """
    command = _procfile(example).get("release")
    if command is None:
        return
    hear(command)
    status = _heard(
        hear,
        [*_inside(), "sh", "-c", command],
        {**os.environ, **variables, "PYTHONUNBUFFERED": "1"},
        ROOT / example,
    )
    if status:
        raise Refused(f"{example}: `{command}` ended with status {status}.")


def _procfile(example: str) -> dict[str, str]:
    """The commands of the example's `Procfile`, if it has one."""
    procfile = ROOT / example / "Procfile"
    text = procfile.read_text("utf-8") if procfile.exists() else ""
    return dict(re.findall(r"^([\w-]+):[ \t]*(.+)$", text, re.MULTILINE))


def _inside() -> list[str]:
    """What runs a command in an environment with the requirements of the directory."""
    requirements = ("--with-requirements", "requirements.txt")
    return [UV, "run", "--quiet", "--isolated", "--no-project", *requirements, "--"]


def show(examples: Collection[str], logs: Path) -> None:
    """Open these examples to everyone, print where they are, and wait for Ctrl-C.

    What runs beside them prints to files in `logs`. Those that act for whoever is signed in get
    their integrations, and are open to all of these.
    """
    where = find_server("")
    print()
    with connected(where) as client:
        named = client.content_of(client.me()["guid"])
        for example in examples:
            about = catalogue()[example]
            content = named.get(example)
            if content is None:
                raise Refused(f"{example} is not there any more.")
            integrations = about.get("integrations", ())
            access_type = "logged_in" if integrations else "all"
            if content["access_type"] != access_type:
                client.change(content["guid"], access_type=access_type)
            if integrations:
                client.use(content["guid"], integrations)
            signed_in = ", for those who are signed in" if integrations else ""
            print(f"{about['title']} ({example}{signed_in})")
            for kind in ("page", "console", "list", "hello"):
                if kind in about:
                    print(f"  {kind:<8} {where.url}/content/{content['guid']}/{about[kind]}")
            if (log := logs / f"{example}.log").exists():
                print(f"  {'log':<8} {log}, of what runs beside it")
            print()
    print("They are open to everyone, but where it says so. By a key, from a shell:")
    print(f"  curl -H 'Authorization: Key {where.api_key}' <address>")
    print()
    print(f"Click here first: {where.url}/connect/ has them all, and each as each visitor sees it.")
    print("Ctrl-C ends it.", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    signal.pause()


def new(name: str, source: str) -> None:
    """Make a directory like that of an example, and its table in gallery.toml; or nothing at all.

    What the example's files say of its directory and its title is said of the new one; its picture
    is not the new one's.
    """
    examples = catalogue()
    if source not in examples:
        raise Refused(
            f"There is no example {source!r} to start from. FROM is one of: {', '.join(examples)}"
        )
    if not _NAME.fullmatch(name) or not 3 <= len(name) <= 64:
        raise Refused(
            f"{name!r} cannot be a name: NAME takes 3 to 64 lower-case letters, digits and single "
            "hyphens, such as my-api, and begins with a letter."
        )
    directory = ROOT / name
    if name in examples or directory.exists():
        raise Refused(f"{name} is here already. Choose another NAME.")
    written = {
        path: path.read_text("utf-8") for path in (ROOT / "gallery.toml", ROOT / "README.md")
    }
    try:
        ignored = shutil.ignore_patterns(*_NOT_COPIED, *examples[source].get("exclude", ()))
        shutil.copytree(ROOT / source, directory, ignore=ignored)
        for hidden in _HIDDEN:
            if (ROOT / source / hidden).exists():
                shutil.copyfile(ROOT / source / hidden, directory / hidden)
        for path in directory.rglob("*"):
            if path.suffix in (".md", ".toml"):
                path.write_text(_renamed(path.read_text("utf-8"), source, name), "utf-8")
        (directory / "manifest.json").write_text(manifest(name, examples[source]), "utf-8")
        tables = written[ROOT / "gallery.toml"]
        table = re.search(rf"^\[{source}\]\n(?:[^\[\n].*\n?)*", tables, re.MULTILINE)
        added = _renamed(table[0] if table else "", source, name)
        (ROOT / "gallery.toml").write_text(f"{tables.rstrip()}\n\n{added}", "utf-8")
        sync()
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        for path, text in written.items():
            path.write_text(text, "utf-8")
        raise
    print(f"{name}/ is a copy of {source}/, and the last table of gallery.toml is its own.")
    print("It works as it is, and so do its tests. What to change first:")
    for line in _to_change_first(directory):
        print(f"  {line}")
    print(f"Then: make sync manifests test, make run-{name}, make deploy-{name}")


def _to_change_first(directory: Path) -> Iterator[str]:
    """Where a new example says what it is and does, as `my-api/app.py:44  @app.get("/")`."""
    modules = [path for path in sorted(directory.rglob("*.py")) if "migrations" not in path.parts]
    # app.py before the others, which may have what it does not
    modules.sort(key=lambda path: path.name != "app.py")
    for files, wanted in (
        ([ROOT / "gallery.toml"], rf"\[{directory.name}\]"),
        ([directory / "README.md"], r"# .+"),
        ([path for path in modules if path.name != "test_app.py"], r"@\w+\.(route|get|post)\(.+"),
        ([directory / "test_app.py"], r"def test_.+"),
    ):
        found = (
            f"{path.relative_to(ROOT)}:{number}  {line}"
            for path in files
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
            if re.match(wanted, line)
        )
        yield from islice(found, 1)


def _renamed(text: str, source: str, name: str) -> str:
    # at once: the title of one that was made so is the name of its directory
    named = "|".join(map(re.escape, (catalogue()[source]["title"], source)))
    return re.sub(named, name, _PICTURE.sub("", text))


def manifests() -> None:
    """Write what Connect reads where it takes an example from git instead of from rsconnect."""
    for example, about in catalogue().items():
        text = manifest(example, about)
        (ROOT / example / "manifest.json").write_text(text, "utf-8")


def manifest(example: str, about: Mapping[str, Any]) -> str:
    """The example's manifest as rsconnect writes it, less what it takes from this machine.

    That is the locale, and the version of Python: the oldest that pyproject.toml allows stands in
    its place. Files that are here by chance, hidden ones and Python's own, are not in it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        ignored = shutil.ignore_patterns(*_NOT_COPIED, *about.get("exclude", ()))
        copy = shutil.copytree(ROOT / example, Path(scratch, example), ignore=ignored)
        done = subprocess.run(
            [
                *(RSCONNECT, "write-manifest", "api", "--entrypoint", about["entrypoint"]),
                *_excluded(about),
                copy,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Refused(f"{example} has no manifest.\n{done.stderr}")
        document = json.loads((copy / "manifest.json").read_text("utf-8"))
    requires = document.get("environment", {}).get("python", {}).get("requires", "")
    oldest = re.match(r">=(\d+\.\d+)$", requires)
    if not oldest:
        raise Refused(
            f'{example}/pyproject.toml must say which Python it needs: requires-python = ">=3.11"'
        )
    document["locale"] = "en_US.UTF-8"
    document["python"]["version"] = f"{oldest[1]}.0"
    return json.dumps(document, indent=2) + "\n"


def sync() -> None:
    """Copy the greetings into each example that serves them; write README's tables."""
    for example in catalogue():
        copy = ROOT / example / "greetings.json"
        if copy.exists():
            shutil.copyfile(ROOT / "shared" / "greetings.json", copy)
    readme = ROOT / "README.md"
    text = readme.read_text("utf-8")
    text = with_table(text, "examples", paths_table())
    text = with_table(text, "choice", choice_table())
    readme.write_text(text, "utf-8")


def with_table(text: str, name: str, rows: list[tuple[str, ...]]) -> str:
    """The text with these rows between the two comments of that name."""
    before, start, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    return before + start + "".join(f"| {' | '.join(row)} |\n" for row in rows) + end + after


def paths_table() -> list[tuple[str, ...]]:
    """What each example serves."""
    rows: list[tuple[str, ...]] = [
        ("example", "framework", "list", "item", "console", "spec"),
        ("---",) * 6,
    ]
    for example, about in catalogue().items():
        paths = (about.get(kind) for kind in ("list", "item", "console", "spec"))
        cells = ("" if path is None else f"`/{path}`" for path in paths)
        rows.append((f"[{example}]({example}/)", about["framework"], *cells))
    return rows


def choice_table() -> list[tuple[str, ...]]:
    """What to weigh before one of them is copied."""
    rows: list[tuple[str, ...]] = [
        (
            *("framework", "console", "spec", "answers", "Flask", "Python"),
            *("last release", "maintained", "packages", "known limits"),
        ),
        ("---",) * 10,
    ]
    for example, about in catalogue().items():
        browsable = about.get("browsable", False)
        rows.append(
            (
                f"[{about['framework']}]({example}/)",
                "none"
                if "console" not in about
                else "its own pages"
                if browsable
                else "Swagger UI",
                f"OpenAPI {about['spec_version']}" if "spec_version" in about else "none",
                "JSON, or HTML for browsers" if browsable else "JSON",
                flask_versions(example),
                python_versions(example),
                about["release"],
                "yes" if about["maintained"] else "**no**",
                str(about["packages"]),
                about["limits"],
            )
        )
    return rows


def flask_versions(example: str) -> str:
    """Which versions of Flask the example's requirements allow, such as `>=3.1,<3.2`."""
    requirements = (ROOT / example / "requirements.txt").read_text("utf-8")
    found = re.search(r"^flask([^\w\s-].*)$", requirements, re.MULTILINE)
    return found[1] if found else "any"


def python_versions(example: str) -> str:
    """Which versions of Python the example allows, such as `>=3.11`."""
    project = tomllib.loads((ROOT / example / "pyproject.toml").read_text("utf-8"))
    return str(project["project"]["requires-python"])

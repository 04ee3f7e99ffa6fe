"""The examples, as gallery.toml lists them."""

import json
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FILE = ROOT / "gallery.toml"


@dataclass(frozen=True, kw_only=True)
class Example:
    path: Path
    title: str
    framework: str
    entrypoint: str
    release: str
    maintained: bool
    packages: int
    limits: str
    list: str | None = None
    item: str | None = None
    console: str | None = None
    spec: str | None = None
    spec_version: str | None = None
    hello: str | None = None
    groups: str | None = None
    private: str | None = None
    page: str | None = None
    errors: tuple[str, ...] = ("message",)
    browsable: bool = False
    other: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    integrations: tuple[str, ...] = ()
    acts: str | None = None
    exclude: tuple[str, ...] = ()

    @property
    def directory(self) -> str:
        return self.path.name

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that it serves, with a language where one is needed."""
        greetings = (self.list, self.item)
        others = (self.console, self.spec, self.hello, self.groups, self.private, self.page)
        paths = (path for path in greetings + others if path is not None)
        return tuple(dict.fromkeys(path.format(lang="en") for path in paths))

    @property
    def operations(self) -> frozenset[str] | None:
        """What its specification must describe, as `GET greetings/`; None where nothing says it."""
        reads = [f"GET {path}" for path in (self.list, self.item) if path is not None]
        return frozenset([*reads, *self.other]) or None

    @property
    def release_command(self) -> str | None:
        """What its Procfile has to run before it goes live, if anything."""
        procfile = self.path / "Procfile"
        text = procfile.read_text("utf-8") if procfile.exists() else ""
        found = re.search(r"^release: (.+)$", text, re.MULTILINE)
        return found and found[1]

    def has(self, *names: str) -> bool:
        """Whether the catalogue gives it all these paths or properties."""
        return all(getattr(self, name) not in (None, False) for name in names)


@cache
def load(file: Path = FILE) -> tuple[Example, ...]:
    """Every example of the file, beside which they are; an unknown or missing key is an error."""
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(
        Example(
            path=file.parent / directory, **{key: _frozen(value) for key, value in table.items()}
        )
        for directory, table in tables.items()
    )


def _frozen(value: Any) -> Any:
    """What TOML calls an array, as something that can be part of a key."""
    return tuple(value) if isinstance(value, list) else value


EXAMPLES = load()

#: what every example that greets says, by locale
GREETINGS: dict[str, str] = json.loads((ROOT / "shared" / "greetings.json").read_text("utf-8"))


def api_routes() -> list[tuple[str, str]]:
    """Method and path of every route of Connect's API that local-connect has."""
    source = "".join(path.read_text("utf-8") for path in ROOT.glob("local_connect/api/*.py"))
    routes = re.findall(r'@routes\.(\w+)\(\s*"(/__api__/[^"]+)"', source)
    return [(method.upper(), path) for method, path in routes]

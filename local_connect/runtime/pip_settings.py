"""Where pip's configuration on this machine says that packages are, in words that uv reads.

Connect's servers are configured for pip, and so are many machines; uv reads nothing of it. Files,
their places and the names of variables are those of pip's documentation on its configuration,
options and variables those of uv's. Where uv is told itself where packages are, that holds.
"""

from __future__ import annotations

import configparser
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

#: variables by which uv is told where packages are
_OF_UV = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")

#: the same in `uv.toml`
_IN_UV_TOML = {"index", "index-url", "extra-index-url", "find-links", "no-index"}

#: of the whole machine, but for macOS
SYSTEM_FILE = Path("/etc/pip.conf")

#: sections of pip's files that hold for `pip install`; what is in the later ones decides
_SECTIONS = ("global", "install")


@dataclass(frozen=True)
class ForUv:
    """What to give to `uv pip install`."""

    options: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    #: the places by name, without what lets one in
    places: list[str] = field(default_factory=list)


def for_uv(environ: Mapping[str, str], *, names_index: bool = False) -> ForUv:
    """What of pip's configuration uv has to be told on a machine with this environment.

    `names_index` says that requirements name an index themselves: pip takes theirs for its own.
    """
    settings = _settings(environ)
    found = ForUv(variables=_connection(settings, environ))
    if not _is_configured(environ):
        index = None if names_index else settings.get("index-url")
        extra = settings.get("extra-index-url", "").split()
        links = [link for link in settings.get("find-links", "").split() if _exists(link)]
        found.options.extend(("--default-index", index) if index else ())
        for option, values in (("--index", extra), ("--find-links", links)):
            for value in values:
                found.options.extend((option, value))
        if extra and "UV_INDEX_STRATEGY" not in environ:
            # pip takes the best version of all indexes, uv that of the first that has any
            found.options.extend(("--index-strategy", "unsafe-best-match"))
        if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
            found.options.append("--no-index")
        found.places.extend(
            _without_credentials(place) for place in (index, *extra, *links) if place
        )
    for host in settings.get("trusted-host", "").split():
        found.options.extend(("--allow-insecure-host", host))
    return found


def _connection(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """How servers are reached, where nothing more general than pip's configuration says that."""
    variables = {}
    for option, variable, instead in (
        ("cert", "SSL_CERT_FILE", ("SSL_CERT_FILE", "SSL_CERT_DIR")),
        ("client-cert", "SSL_CLIENT_CERT", ("SSL_CLIENT_CERT",)),
        ("proxy", "ALL_PROXY", ("ALL_PROXY", "HTTPS_PROXY", "all_proxy", "https_proxy")),
    ):
        if option in settings and not any(environ.get(name) for name in instead):
            variables[variable] = settings[option]
    return variables


def _settings(environ: Mapping[str, str]) -> dict[str, str]:
    """pip's options by their names, as files and environment set them; empty ones do not count."""
    settings: dict[str, str] = {}
    for path in _files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(path.read_text("utf-8"))
        except (OSError, ValueError, configparser.Error):
            continue
        for section in _SECTIONS:
            if parser.has_section(section):
                settings |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    for name, value in environ.items():
        if name.startswith("PIP_"):
            settings[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return {name: value for name, value in settings.items() if value and value.strip()}


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """pip's configuration files; what is in the later ones decides."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == "/dev/null":
        return
    home = Path(environ.get("HOME") or Path.home())
    if sys.platform == "darwin":
        yield Path("/Library/Application Support/pip/pip.conf")
    else:
        for directory in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"):
            yield Path(directory, "pip", "pip.conf")
        yield SYSTEM_FILE
    if not named or not Path(named).exists():
        library = home / "Library" / "Application Support" / "pip"
        yield home / ".pip" / "pip.conf"
        if sys.platform == "darwin" and library.is_dir():
            yield library / "pip.conf"
        else:
            yield _config_home(environ, home) / "pip" / "pip.conf"
    if named:
        yield Path(named)


def _is_configured(environ: Mapping[str, str]) -> bool:
    """Whether uv is told itself where packages are, by its variables or its files."""
    if any(environ.get(name) for name in _OF_UV):
        return True
    if named := environ.get("UV_CONFIG_FILE"):
        return _names_places(Path(named))
    home = Path(environ.get("HOME") or Path.home())
    system = (environ.get("XDG_CONFIG_DIRS") or "/etc").split(":")
    places = (_config_home(environ, home), *map(Path, system))
    return any(_names_places(place / "uv" / "uv.toml") for place in places)


def _names_places(path: Path) -> bool:
    try:
        settings: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    of_pip = settings.get("pip")
    return bool(_IN_UV_TOML & {*settings, *(of_pip if isinstance(of_pip, dict) else ())})


def _config_home(environ: Mapping[str, str], home: Path) -> Path:
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config")


def _exists(link: str) -> bool:
    """Whether there is such a place for links; uv fails where pip only warns."""
    return ":" in link or Path(link).exists()


def _without_credentials(place: str) -> str:
    parts = urlsplit(place)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

"""The services that some examples stand on: the real ones, started on this machine.

A module for each, named as gallery.toml names it. It has

`VARIABLES`: the environment variables that tell an example where the service is. Where the first is
set already, that is a server of the user's own, and none is started;

`INSTEAD`, if there are others of them that name such a server as the first does;

`missing()`: one line that says why the service cannot run here and what to do about it; None where
it can. It starts nothing;

`running(directory)`: a context manager that starts the service with all that it writes in the
directory, gives the values of `VARIABLES`, and ends it. It raises `Unavailable`;

`HEAVY = True`, if it takes so much time or memory that one has to do for a test session;

`apart(variables)`, if two users of a server that we started would meet there: the variables of
another, empty place on it.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType


class Unavailable(Exception):
    """A service cannot be started here; the message says in one line why, and what to do."""


def load(name: str) -> ModuleType:
    """The module of the service, imported only where it is needed."""
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise Unavailable(
            f"There is no scripts/services/{name}.py, so nothing starts it."
        ) from None


def given(name: str) -> dict[str, str]:
    """What the environment says of the user's own server; nothing where it names none."""
    service = load(name)
    variables: tuple[str, ...] = service.VARIABLES
    names = (variables[0], *getattr(service, "INSTEAD", ()))
    if not any(os.environ.get(name) for name in names):
        return {}
    return {variable: os.environ[variable] for variable in variables if variable in os.environ}


def missing(name: str) -> str | None:
    """Why the service cannot be started here, and what to do about it; None where it can."""
    try:
        reason: str | None = load(name).missing()
    except Unavailable as error:
        return str(error)
    return reason


@contextmanager
def started(name: str) -> Iterator[dict[str, str]]:
    """A server of our own until the end; the environment variables that it is found by.

    Raises `Unavailable` where it cannot be started.
    """
    if reason := missing(name):
        raise Unavailable(reason)
    # its path is short, because that of a Unix socket must be
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    try:
        with load(name).running(directory) as variables:
            yield variables
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running(names: Iterable[str]) -> Iterator[dict[str, str]]:
    """The named services until the end: the user's own servers where the environment names them.

    It gives the environment variables that examples find them by, and raises `Unavailable` where
    one cannot be started.
    """
    variables: dict[str, str] = {}
    with ExitStack() as stack:
        for name in names:
            variables |= given(name) or stack.enter_context(started(name))
        yield variables

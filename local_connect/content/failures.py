"""What a content process says of an app that fails or hangs; `process.py` loads this.

It speaks of the app's own code: frames of the server's are left out, and so are those of the
import system, as Python itself leaves them out where it can.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

#: the directory of the app, as it is when this is loaded
BUNDLE = os.getcwd()  # noqa: PTH109 (the path is text)

_OURS = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (the path is text)

#: modules by whose frames it shows that an app serves itself
_SERVERS = {
    *("aiohttp", "bjoern", "cheroot", "daphne", "eventlet", "gevent", "granian", "gunicorn"),
    *("hypercorn", "socketserver", "tornado", "uvicorn", "waitress", "werkzeug", "wsgiref"),
}

#: What brings the modules that people expect in every environment. Here they are in those that
#: ask for them; Connect makes its environments with Python's `venv` (documented), so they have
#: pip, and before Python 3.12 setuptools. pkg_resources is in setuptools until 82.
_BROUGHT_BY = {
    "_distutils_hack": "setuptools",
    "distutils": "setuptools",
    "pip": "pip",
    "pkg_resources": "setuptools<82",
    "setuptools": "setuptools",
    "wheel": "wheel",
}

#: the releases of Python with which modules have left the standard library
_LEFT = {
    **dict.fromkeys(("asynchat", "asyncore", "imp", "smtpd"), (3, 12)),
    **dict.fromkeys(("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr"), (3, 13)),
    **dict.fromkeys(("mailcap", "nntplib", "pipes", "sndhdr", "sunau"), (3, 13)),
    **dict.fromkeys(("telnetlib", "uu", "xdrlib"), (3, 13)),
}


def show(error: BaseException) -> None:
    """Print an error of the app with the frames of the app and of what it uses.

    Where the last of them is not the app's, a line at the end says from where in the app it came.
    """
    told = traceback.TracebackException.from_exception(error)
    chain = [*_chain(told)]
    for each in chain:
        each.stack = traceback.StackSummary.from_list(
            [frame for frame in each.stack if not _is_hidden(frame.filename)]
        )
    lines = [*told.format()]
    if told.stack and not _is_app(told.stack[-1].filename):
        frames = (frame for each in chain for frame in reversed(each.stack))
        if own := next((frame for frame in frames if _is_app(frame.filename)), None):
            lines.append(f"The app came to this in {_place(own)}\n")
    lines += [f"{hint}\n" for hint in _hints(error)]
    print("".join(lines), end="", file=sys.stderr, flush=True)


def show_exit(error: SystemExit) -> None:
    """Print the reason that an app gave for ending its process, if any, and where it did that."""
    if isinstance(error.code, str):
        print(error.code, file=sys.stderr)
    frames = traceback.extract_tb(error.__traceback__)
    if frames and _is_hidden(frames[-1].filename):
        # not the app has, but the server
        return
    own = next((frame for frame in reversed(frames) if _is_app(frame.filename)), None)
    if own:
        print(f"The app ended its process in {_place(own)}", file=sys.stderr, flush=True)


def show_hanging(main_thread: int, event_loop: Any) -> str:
    """Print what a process that does not come up is at, and give the gist of it in one line.

    `main_thread` is the identifier of the thread that runs the app, and `event_loop` its loop, if
    it has one.
    """
    stacks = [
        [frame for frame, _ in traceback.walk_stack(sys._current_frames()[main_thread])][::-1]
    ]
    if event_loop is not None:
        stacks += _waiting(event_loop)
    stack = next((stack for stack in stacks if any(map(_is_of_app, stack))), stacks[0])
    own = [number for number, frame in enumerate(stack) if _is_of_app(frame)]
    stack = [
        frame for frame in stack[own[0] if own else 0 :] if not _is_hidden(frame.f_code.co_filename)
    ]
    summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in stack)
    lines = ["The app has not come up. It is at (most recent call last):\n", *summary.format()]
    print("".join(lines), end="", file=sys.stderr, flush=True)
    last = [number for number, frame in enumerate(stack) if _is_of_app(frame)]
    if not last:
        return ""
    gist = f"It was in {_place(summary[last[-1]])}."
    after = stack[last[-1] + 1 :]
    modules = {frame.f_globals.get("__name__", "").partition(".")[0] for frame in after}
    # to import a server is not to start it
    if modules & _SERVERS and all(frame.f_code.co_name != "<module>" for frame in after):
        gist += (
            " There it starts a server of its own, which belongs below "
            '`if __name__ == "__main__":`: Connect imports the app and serves it itself.'
        )
    return gist


def _waiting(event_loop: Any) -> Iterator[list[FrameType]]:
    """For each task of the loop the frames of what it waits in, outermost first."""
    import asyncio

    for task in asyncio.all_tasks(event_loop):
        frames: list[FrameType] = []
        inner: Any = task.get_coro()
        while inner is not None:
            # a coroutine, a generator or an asynchronous generator
            kind = next(
                (kind for kind in ("cr", "gi", "ag") if hasattr(inner, f"{kind}_frame")), ""
            )
            if kind:
                frames += filter(None, [getattr(inner, f"{kind}_frame")])
                inner = getattr(inner, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
            else:
                # one step of an asynchronous generator holds that without a name
                inner = next(
                    (each for each in gc.get_referents(inner) if hasattr(each, "ag_frame")), None
                )
        yield frames


def _chain(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """An exception, those that it came from, and those that it holds, each once."""
    seen: set[int] = set()
    left = [told]
    while left:
        each = left.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            held = getattr(each, "exceptions", None) or []
            left += filter(None, [*held, each.__context__, each.__cause__])


def _hints(error: BaseException) -> Iterator[str]:
    """What to do about modules that could not be imported."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        if isinstance(each, ModuleNotFoundError) and each.name and (hint := _way_out(each.name)):
            yield hint
        each = each.__cause__ or each.__context__


def _way_out(module: str) -> str:
    module = module.partition(".")[0]
    if package := _BROUGHT_BY.get(module):
        return (
            f"{module} is not in an environment that does not ask for it: "
            f"add {package} to requirements.txt."
        )
    left = _LEFT.get(module)
    if left and left <= sys.version_info:
        way = "use importlib" if module == "imp" else f"add standard-{module} to requirements.txt"
        way = way.replace("standard-audioop", "audioop-lts")
        release = ".".join(map(str, left))
        return (
            f"{module} left Python's standard library with {release}: {way}, "
            "or ask for an older Python."
        )
    if module in getattr(sys, "stdlib_module_names", ()):
        return (
            f"{module} is of Python's standard library, but the Python in {sys.base_prefix} was "
            "installed without it: install the rest of it, or ask for another Python."
        )
    return ""


def _place(frame: traceback.FrameSummary) -> str:
    """Where a frame is, in one line."""
    file = os.path.relpath(frame.filename, BUNDLE) if _is_app(frame.filename) else frame.filename
    function = "" if frame.name == "<module>" else f", in {frame.name}"
    return f"{file}, line {frame.lineno}{function}: `{frame.line}`"


def _is_of_app(frame: FrameType) -> bool:
    return _is_app(frame.f_code.co_filename)


def _is_app(filename: str) -> bool:
    return filename.startswith(BUNDLE + os.sep)


def _is_hidden(filename: str) -> bool:
    """Whether code is the server's or of the import system."""
    return (
        filename.startswith((_OURS + os.sep, "<frozen importlib."))
        or filename == importlib.__file__
    )

"""A Python environment for each set of requirements, kept between test sessions."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin


def environment(
    requirements: Path, cache: Path, *, resolution: str = "highest", compiled: bool = False
) -> Path:
    """The interpreter of an environment with these requirements.

    It may be called by several processes at once: one builds, the others wait. With `compiled` all
    of it is compiled at once, for processes that write no bytecode; others compile what they read.
    """
    key = hashlib.sha256()
    for part in (sys.version, sys.base_prefix, resolution, str(compiled)):
        key.update(part.encode() + b"\0")
    key.update(requirements.read_bytes())
    directory = cache / key.hexdigest()[:16]
    python = directory / "bin" / "python"
    complete = directory / "complete"

    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(directory, ignore_errors=True)
            uv("venv", "--python", sys.executable, str(directory))
            uv(
                *("pip", "install", *(["--compile-bytecode"] if compiled else [])),
                *("--python", str(python)),
                *("--resolution", resolution, "--requirement", str(requirements)),
            )
            complete.touch()
    return python


def uv(*arguments: str) -> None:
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [find_uv_bin(), "--no-progress", *arguments],
        env=env | {"UV_PYTHON_DOWNLOADS": "never"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"uv {' '.join(arguments)} failed:\n{done.stderr}")

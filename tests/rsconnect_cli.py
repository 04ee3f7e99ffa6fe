"""The real `rsconnect`, run as its users run it, but away from their saved servers and keys."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local_connect.client.rsconnect import environment as away_from_home
from local_connect.client.rsconnect import plain

RSCONNECT = Path(sys.executable).with_name("rsconnect")


def rsconnect(
    *arguments: str | Path,
    home: Path,
    environment: Mapping[str, str] | None = None,
    command: Path = RSCONNECT,
    directory: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `rsconnect`, or another release of it, to its end, with `home` as its home directory.

    It sees no CONNECT_SERVER, CONNECT_API_KEY or the like but what `environment` gives it.
    It works in `directory`, or where the tests do.
    """
    done = subprocess.run(
        [command, *arguments],
        env=away_from_home(home, environment),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    done.stdout = plain(done.stdout)
    done.stderr = plain(done.stderr)
    return done

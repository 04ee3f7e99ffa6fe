"""The real `rsconnect`, run as its users run it, but away from their saved servers and keys."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

RSCONNECT = Path(sys.executable).with_name("rsconnect")

#: it colours some of its lines even where it was asked not to
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def rsconnect(
    *arguments: str | Path,
    home: Path,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `rsconnect` to its end, with `home` as its home directory.

    It sees no CONNECT_SERVER, CONNECT_API_KEY or the like but what `environment` gives it.
    """
    home.mkdir(parents=True, exist_ok=True)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CONNECT_", "RSCONNECT_", "SHINYAPPS_", "RSCLOUD_", "GIT_"))
    }
    done = subprocess.run(
        [RSCONNECT, *arguments],
        env={
            **inherited,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "RSCONNECT_DISABLE_VERSION_CHECK": "1",
            "NO_COLOR": "1",
            **(environment or {}),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    done.stdout = _COLOUR.sub("", done.stdout)
    done.stderr = _COLOUR.sub("", done.stderr)
    return done

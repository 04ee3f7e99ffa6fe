"""Node.js, which some examples' pages are built with."""

import re
import shutil
import subprocess

from scripts.packages import installed_by

#: the oldest that Vite and vitest run on
OLDEST = 20


def missing() -> str | None:
    """Why no page can be built here, and what to do about it; None where it can."""
    if shutil.which("node") and shutil.which("npm"):
        said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
        version = re.match(r"v(\d+)", said.stdout)
        if version and int(version[1]) >= OLDEST:
            return None
    how = installed_by(apt="nodejs npm", brew="node")
    return f"Node.js {OLDEST} or later is not installed, with npm. What brings it: {how}"

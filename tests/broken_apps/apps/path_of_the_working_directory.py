"""It looks for its data where it was started, not where it is."""

import json
from pathlib import Path

from sound import app

TEXTS = json.loads(Path("greetings.json").read_text(encoding="utf-8"))

__all__ = ["app"]

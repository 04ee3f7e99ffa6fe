"""It reads the greetings, which are UTF-8, as Latin-1."""

import json
from pathlib import Path

from sound import GREETINGS, app

FILE = Path(__file__).with_name("greetings.json")
for lang, text in json.loads(FILE.read_text(encoding="latin-1")).items():
    GREETINGS[lang]["text"] = text

__all__ = ["app"]

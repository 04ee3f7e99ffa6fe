"""The specification says that a text is a number."""

from sound import app, spec

spec["definitions"]["Greeting"]["properties"]["text"]["type"] = "integer"

__all__ = ["app"]

"""The specification has a path that the API has not."""

from sound import app, spec

spec["paths"] = {
    "/greetings/{lang}/audio": {
        "parameters": [{"name": "lang", "in": "path", "required": True, "type": "string"}],
        "get": {"responses": {"200": {"description": "The greeting, spoken"}}},
    }
}

__all__ = ["app"]

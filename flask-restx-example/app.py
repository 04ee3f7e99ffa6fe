"""Greetings in many languages: a read-only API with Flask-RESTX.

The root of the API is its console, a Swagger UI; the specification is at swagger.json.
"""

import json
from pathlib import Path

from flask import Flask, request
from flask_restx import Api, Resource, fields
from werkzeug.exceptions import HTTPException

TEXTS = json.loads(Path(__file__).with_name("greetings.json").read_text(encoding="utf-8"))
GREETINGS = {lang: {"lang": lang, "text": text} for lang, text in sorted(TEXTS.items())}


class GreetingsApi(Api):
    @property
    def __schema__(self):
        # RESTX keeps the first basePath it computes, but an API can have more than one address
        return {**super().__schema__, "basePath": request.script_root or "/"}


app = Flask(__name__)
app.config["RESTX_ERROR_404_HELP"] = False
app.config["RESTX_JSON"] = {"ensure_ascii": False}
app.json.ensure_ascii = False

api = GreetingsApi(app, title="Greetings", description="Hello in many languages. Read-only.")
greetings = api.namespace("greetings", description="One greeting for each locale")
greeting = api.model(
    "Greeting",
    {
        "lang": fields.String(required=True, description="Locale", example="en"),
        "text": fields.String(required=True, description="Greeting", example="Hello"),
    },
)
message = api.model("Message", {"message": fields.String(required=True)})


@greetings.route("/")
class Greetings(Resource):
    @greetings.response(200, "Every greeting, sorted by locale", [greeting])
    def get(self):
        """List the greetings."""
        return list(GREETINGS.values())


@greetings.route("/<lang>")
@greetings.param("lang", "Locale, such as en")
class Greeting(Resource):
    @greetings.response(200, "The greeting", greeting)
    @greetings.response(404, "No greeting in this language", message)
    def get(self, lang):
        """Show the greeting in one language."""
        if lang not in GREETINGS:
            greetings.abort(404, f"There is no greeting in '{lang}'.")
        return GREETINGS[lang]


# RESTX answers with JSON for errors in its own resources only; this does it for the rest
@app.errorhandler(HTTPException)
def error_as_json(error):
    response = error.get_response()
    response.data = app.json.dumps({"message": error.description})
    response.content_type = "application/json"
    return response

"""Greetings in many languages: a read-only API with flask-smorest.

The root of the API is its console, a Swagger UI; the specification (OpenAPI 3) is at openapi.json.
"""

import json
from pathlib import Path

import flask_swagger_ui
from flask import Flask, abort
from flask_smorest import Api, Blueprint
from marshmallow import Schema, fields
from werkzeug.exceptions import HTTPException

TEXTS = json.loads(Path(__file__).with_name("greetings.json").read_text(encoding="utf-8"))
GREETINGS = {lang: {"lang": lang, "text": text} for lang, text in sorted(TEXTS.items())}


class GreetingSchema(Schema):
    lang = fields.String(required=True, metadata={"description": "Locale", "example": "en"})
    text = fields.String(required=True, metadata={"description": "Greeting", "example": "Hello"})


class MessageSchema(Schema):
    message = fields.String(required=True)


LANG = {"name": "lang", "in": "path", "description": "Locale, such as en"}


class GreetingsApi(Api):
    # flask-smorest would describe errors of its own making, which error_as_json replaces
    DEFAULT_ERROR_RESPONSE_NAME = None


app = Flask(
    __name__,
    # the console's scripts come from a package, not from another host
    static_folder=Path(flask_swagger_ui.__file__).with_name("dist"),
    static_url_path="/swagger-ui",
)
app.json.ensure_ascii = False

app.config["API_TITLE"] = "Greetings"
app.config["API_VERSION"] = "1.0"
app.config["API_SPEC_OPTIONS"] = {
    "info": {"description": "Hello in many languages. Read-only."},
    # relative to the specification, so that it holds wherever the API is mounted
    "servers": [{"url": "."}],
}
app.config["OPENAPI_VERSION"] = "3.1.0"
app.config["OPENAPI_URL_PREFIX"] = "/"
app.config["OPENAPI_SWAGGER_UI_PATH"] = "/"
# relative to the console
app.config["OPENAPI_SWAGGER_UI_URL"] = "swagger-ui/"
api = GreetingsApi(app)
greetings = Blueprint("greetings", __name__, description="One greeting for each locale")


@greetings.route("/greetings/")
@greetings.response(200, GreetingSchema(many=True), description="Every greeting, sorted by locale")
def list_greetings():
    """List the greetings."""
    return list(GREETINGS.values())


@greetings.route("/greetings/<lang>", parameters=[LANG])
@greetings.response(200, GreetingSchema, description="The greeting")
@greetings.alt_response(404, schema=MessageSchema, description="No greeting in this language")
def show_greeting(lang):
    """Show the greeting in one language."""
    if lang not in GREETINGS:
        abort(404, f"There is no greeting in '{lang}'.")
    return GREETINGS[lang]


api.register_blueprint(greetings)


@app.errorhandler(HTTPException)
def error_as_json(error):
    response = error.get_response()
    response.data = app.json.dumps({"message": error.description})
    response.content_type = "application/json"
    return response

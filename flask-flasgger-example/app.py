"""Greetings in many languages: a read-only API with Flasgger.

The specification (apispec_1.json) grows from the docstrings; its Swagger UI is at apidocs/.
"""

import json
from pathlib import Path

from flasgger import LazyJSONEncoder, LazyString, Swagger
from flask import Flask, abort, request
from werkzeug.exceptions import HTTPException

TEXTS = json.loads(Path(__file__).with_name("greetings.json").read_text(encoding="utf-8"))
GREETINGS = {lang: {"lang": lang, "text": text} for lang, text in sorted(TEXTS.items())}

app = Flask(__name__)
# writes the LazyString below; before Flask 2.3 this was app.json_encoder
app.json = LazyJSONEncoder(app)
app.json.ensure_ascii = False

app.config["SWAGGER"] = {
    "title": "Greetings",
    # only a request knows the path that the API is mounted at
    "basePath": LazyString(lambda: request.script_root or "/"),
    # without it Flasgger puts Python's None into the page's script
    "auth": {},
}
spec = {
    "info": {
        "title": "Greetings",
        "description": "Hello in many languages. Read-only.",
        "version": "1.0",
    },
    "produces": ["application/json"],
    "definitions": {
        "Greeting": {
            "type": "object",
            "required": ["lang", "text"],
            "properties": {"lang": {"type": "string"}, "text": {"type": "string"}},
        },
        "Message": {
            "type": "object",
            "required": ["message"],
            "properties": {"message": {"type": "string"}},
        },
    },
}
Swagger(app, template=spec)


@app.get("/greetings/")
def greetings():
    """List the greetings.
    ---
    responses:
      200:
        description: Every greeting, sorted by locale
        schema: {type: array, items: {$ref: "#/definitions/Greeting"}}
    """
    return list(GREETINGS.values())


@app.get("/greetings/<lang>/")
def greeting(lang):
    """Show the greeting in one language.
    ---
    parameters:
      - {name: lang, in: path, required: true, type: string, description: "Locale, such as en"}
    responses:
      200:
        description: The greeting
        schema: {$ref: "#/definitions/Greeting"}
      404:
        description: No greeting in this language
        schema: {$ref: "#/definitions/Message"}
    """
    if lang not in GREETINGS:
        abort(404, f"There is no greeting in '{lang}'.")
    return GREETINGS[lang]


@app.errorhandler(HTTPException)
def error_as_json(error):
    response = error.get_response()
    response.data = app.json.dumps({"message": error.description})
    response.content_type = "application/json"
    return response

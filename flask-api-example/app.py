"""Greetings in many languages: a read-only API with Flask-API.

Programs get JSON. A browser, which asks for text/html, gets the same resource as a page.
"""

import json
from pathlib import Path

from flask import request
from flask_api import FlaskAPI, exceptions
from flask_api.mediatypes import MediaType
from flask_api.negotiation import DefaultNegotiation
from flask_api.renderers import BrowsableAPIRenderer, JSONRenderer
from werkzeug.exceptions import HTTPException

TEXTS = json.loads(Path(__file__).with_name("greetings.json").read_text(encoding="utf-8"))
GREETINGS = {lang: {"lang": lang, "text": text} for lang, text in sorted(TEXTS.items())}


class Page(BrowsableAPIRenderer):
    template = "page.html"


class JSONByDefault(DefaultNegotiation):
    def select_renderer(self, renderers):
        # Flask-API answers 500 to a client that accepts neither JSON nor HTML
        try:
            renderer, _ = super().select_renderer(renderers)
        except exceptions.NotAcceptable:
            renderer = renderers[0]
        # what the menu of formats on a page asks for
        if request.args.get("format") == "json":
            renderer = renderers[0]
        return renderer, MediaType(renderer.media_type)


app = FlaskAPI(__name__)
app.config["DEFAULT_RENDERERS"] = [JSONRenderer, Page]
app.request_class.negotiator_class = JSONByDefault
app.json.ensure_ascii = False


# the name and the docstring of a view are the heading and the text of its page
@app.get("/")
def greetings():
    """Every greeting, sorted by locale. Add a locale to the address to see one."""
    return list(GREETINGS.values())


@app.get("/<lang>")
def greeting(lang):
    """The greeting in one language."""
    if lang not in GREETINGS:
        raise exceptions.NotFound(f"There is no greeting in '{lang}'.")
    return GREETINGS[lang]


# a ready-made response, because Flask-API has no page for an error outside its views
@app.errorhandler(HTTPException)
def error_as_json(error):
    response = error.get_response()
    response.data = app.json.dumps({"message": error.description})
    response.content_type = "application/json"
    return response

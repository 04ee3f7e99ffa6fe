"""Who is looking? An API that greets the viewer by the name that Connect passes on.

Connect sends the viewer's name and groups with every request, as JSON in one header.
"""

import json

from flask import Flask, abort, redirect, request, url_for
from werkzeug.exceptions import HTTPException

HEADER = "RStudio-Connect-Credentials"

app = Flask(__name__)


def credentials():
    """The viewer's name and groups; None and [] where Connect names nobody."""
    header = request.headers.get(HEADER)
    if header is None:
        return None, []
    try:
        # WSGI reads headers as Latin-1, Connect writes them as UTF-8
        viewer = json.loads(header.encode("latin-1").decode("utf-8"))
    except (ValueError, RecursionError):
        abort(400, f"{HEADER} is not JSON in UTF-8.")
    if not isinstance(viewer, dict):
        abort(400, f"{HEADER} is not a JSON object.")

    user = viewer.get("user")
    if not isinstance(user, str | None):
        abort(400, f"The user in {HEADER} is not a string.")
    groups = viewer.get("groups")
    # a viewer without groups may come with null, [] or nothing
    if groups is None:
        groups = []
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        abort(400, f"The groups in {HEADER} are not a list of strings.")
    return user, groups


@app.get("/")
def root():
    return redirect(url_for("hello"))


@app.get("/hello")
def hello():
    user, _ = credentials()
    if not user:
        return {"message": "Howdy, stranger."}
    return {"message": f"So nice to see you, {user}."}


@app.get("/groups")
def groups():
    _, groups = credentials()
    return {"groups": groups}


@app.errorhandler(HTTPException)
def error_as_json(error):
    response = error.get_response()
    response.data = app.json.dumps({"message": error.description})
    response.content_type = "application/json"
    return response

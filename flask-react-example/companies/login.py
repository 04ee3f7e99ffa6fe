"""Who is signed in: the visitor that Connect names."""

import json

from flask import abort, current_app, request
from flask_login import LoginManager, UserMixin

from companies.errors import envelope

HEADER = "RStudio-Connect-Credentials"
# where the app is, such as https://connect.example.com/content/<guid>
BASE_URL = "RStudio-Connect-App-Base-URL"

login_manager = LoginManager()
# nobody signs in here, so there is nothing in a session to protect
login_manager.session_protection = None


class User(UserMixin):
    def __init__(self, name):
        self.id = name


@login_manager.request_loader
def load_user(_):
    """The visitor; None where Connect names nobody."""
    name = visitor() or current_app.config["DEVELOPMENT_USER"]
    return User(name) if name else None


def visitor():
    """The visitor's name, which Connect sends with each request as JSON in one header."""
    header = request.headers.get(HEADER)
    if header is None:
        return None
    try:
        # WSGI reads headers as Latin-1, Connect writes them as UTF-8
        credentials = json.loads(header.encode("latin-1").decode("utf-8"))
    except (ValueError, RecursionError):
        abort(400, f"{HEADER} is not JSON in UTF-8.")
    if not isinstance(credentials, dict):
        abort(400, f"{HEADER} is not a JSON object.")
    user = credentials.get("user")
    if not isinstance(user, str | None):
        abort(400, f"The user in {HEADER} is not a string.")
    return user


@login_manager.unauthorized_handler
def not_signed_in():
    server, separator, _ = request.headers.get(BASE_URL, "").partition("/content/")
    # Connect's own pages, where people sign in
    content = {"sign_in": f"{server}/connect/"} if separator else None
    message = "You are not signed in. Sign in to Connect, or send an API key of yours."
    return envelope(401, message, content), 401

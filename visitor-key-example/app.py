"""Acting as the visitor: an API that asks Connect on behalf of whoever is looking.

Connect sends a token of the visitor's session with every request. posit-sdk exchanges it for an API
key of the visitor's, which ends soon. What the key may see and do is what the visitor may.

The root of the API is its console, a Swagger UI; the specification (OpenAPI 3) is at openapi.json.
"""

import os
from pathlib import Path

import flask_swagger_ui
import requests
from flask import Flask, abort, request
from flask_smorest import Api, Blueprint
from marshmallow import Schema, fields
from posit.connect import Client
from posit.connect.errors import ClientError
from werkzeug.exceptions import HTTPException

HEADER = "Posit-Connect-User-Session-Token"

# Connect's error code where content has no integration that gives it keys
NO_INTEGRATION = 212


class MeSchema(Schema):
    message = fields.String(
        required=True, metadata={"example": "So nice to see you, Ada Lovelace."}
    )
    username = fields.String(required=True)


class ContentSchema(Schema):
    title = fields.String(required=True)
    url = fields.String(required=True)
    role = fields.String(required=True, metadata={"description": "What the visitor is to it"})


class MessageSchema(Schema):
    message = fields.String(required=True)


class VisitorApi(Api):
    # flask-smorest would describe errors of its own making, which error_as_json replaces
    DEFAULT_ERROR_RESPONSE_NAME = None


app = Flask(
    __name__,
    # the console's scripts come from a package, not from another host
    static_folder=Path(flask_swagger_ui.__file__).with_name("dist"),
    static_url_path="/swagger-ui",
)
app.json.ensure_ascii = False

app.config["API_TITLE"] = "The visitor's own Connect"
app.config["API_VERSION"] = "1.0"
app.config["API_SPEC_OPTIONS"] = {
    "info": {"description": "What Connect tells and shows the visitor."},
    # relative to the specification, so that it holds wherever the API is mounted
    "servers": [{"url": "."}],
}
app.config["OPENAPI_VERSION"] = "3.1.0"
app.config["OPENAPI_URL_PREFIX"] = "/"
app.config["OPENAPI_SWAGGER_UI_PATH"] = "/"
# relative to the console
app.config["OPENAPI_SWAGGER_UI_URL"] = "swagger-ui/"
api = VisitorApi(app)
visitor = Blueprint("visitor", __name__, description="As the visitor")


def as_visitor():
    """A client of Connect's API that acts as the visitor."""
    token = request.headers.get(HEADER)
    if not token:
        abort(401, "Nobody is signed in. Open this API on Connect, signed in or with an API key.")
    if "CONNECT_SERVER" not in os.environ:
        abort(503, "This API does not run on Connect, so there is nobody to ask for a key.")
    with Client() as own:
        return own.with_user_session_token(token)


@visitor.route("/me")
@visitor.response(200, MeSchema, description="A greeting by the visitor's first and last name")
@visitor.alt_response(401, schema=MessageSchema, description="Nobody is signed in")
@visitor.alt_response(403, schema=MessageSchema, description="Connect refuses the visitor's token")
@visitor.alt_response(502, schema=MessageSchema, description="Connect does not answer")
@visitor.alt_response(503, schema=MessageSchema, description="The integration is missing")
def me():
    """Greet the visitor."""
    with as_visitor() as client:
        user = client.me
    name = f"{user['first_name']} {user['last_name']}".strip() or user["username"]
    return {"message": f"So nice to see you, {name}.", "username": user["username"]}


@visitor.route("/my-content")
@visitor.response(200, ContentSchema(many=True), description="What the visitor may see, by title")
@visitor.alt_response(401, schema=MessageSchema, description="Nobody is signed in")
@visitor.alt_response(403, schema=MessageSchema, description="Connect refuses the visitor's token")
@visitor.alt_response(502, schema=MessageSchema, description="Connect does not answer")
@visitor.alt_response(503, schema=MessageSchema, description="The integration is missing")
def my_content():
    """List the content that the visitor may see."""
    with as_visitor() as client:
        items = [
            {
                "title": item["title"] or item["name"],
                "url": item["content_url"],
                "role": item["app_role"],
            }
            for item in client.content.find()
        ]
    return sorted(items, key=lambda item: (item["title"], item["url"]))


api.register_blueprint(visitor)


@app.errorhandler(ClientError)
def connect_refuses(error):
    if error.error_code == NO_INTEGRATION:
        message = (
            "Connect gives this API no keys of its visitors: it has no integration of the type "
            "Connect Visitor API Key. Its owner adds one in the content's settings, under Access."
        )
        return {"message": message}, 503
    # such as a token that is over
    message = f"Connect does not let this API act for you: {error.error_message} Try again."
    return {"message": message}, 403


@app.errorhandler(requests.RequestException)
def connect_is_away(error):
    app.logger.warning("Connect does not answer: %s", error)
    return {"message": "Connect does not answer. Try again in a moment."}, 502


@app.errorhandler(HTTPException)
def error_as_json(error):
    response = error.get_response()
    response.data = app.json.dumps({"message": error.description})
    response.content_type = "application/json"
    return response

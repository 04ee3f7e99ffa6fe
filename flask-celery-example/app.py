"""Greetings in many languages, served from Redis and kept fresh in the background, with APIFlask.

The root of the API is its console, a Swagger UI; the specification (OpenAPI 3) is at openapi.json.
"""

import json
from pathlib import Path

import flask_swagger_ui
import redis
from apiflask import APIFlask, Schema, abort, fields
from flask import request
from kombu.exceptions import OperationalError
from marshmallow import validate

import settings
import source
import store
import tasks
from update import update

HEADER = "RStudio-Connect-Credentials"

#: what Celery calls the states of a task, and what they are called here
STATES = {
    tasks.QUEUED: "queued",
    "STARTED": "running",
    tasks.PROGRESS: "running",
    "RETRY": "waiting",
    "SUCCESS": "done",
    "FAILURE": "failed",
    # it waited for a worker until the next one was due
    "REVOKED": "failed",
}

AWAY = "Redis is away"


class GreetingSchema(Schema):
    lang = fields.String(required=True, metadata={"description": "Locale", "example": "en"})
    text = fields.String(required=True, metadata={"description": "Greeting", "example": "Hello"})


class MessageSchema(Schema):
    message = fields.String(required=True)


class RefreshSchema(Schema):
    now = fields.Boolean(
        load_default=False, metadata={"description": "In this request, without a worker"}
    )


class ResultSchema(Schema):
    result = fields.String(required=True, validate=validate.OneOf(["unchanged", "changed"]))
    old = fields.String(required=True, allow_none=True, metadata={"description": "Version before"})
    new = fields.String(required=True, metadata={"description": "Version after"})


class TaskSchema(Schema):
    id = fields.String()
    state = fields.String(required=True, validate=validate.OneOf(sorted(set(STATES.values()))))
    done = fields.Integer(metadata={"description": "Greetings written so far"})
    of = fields.Integer(metadata={"description": "Greetings to write"})
    result = fields.Nested(ResultSchema)
    message = fields.String(metadata={"description": "What failed"})


DONE = {
    "description": "Done, in this request",
    "content": {"application/json": {"schema": TaskSchema}},
}

app = APIFlask(
    __name__,
    title="Greetings",
    version="1.0",
    docs_path="/",
    docs_oauth2_redirect_path=None,
    # the console's scripts come from a package, not from another host
    static_folder=Path(flask_swagger_ui.__file__).with_name("dist"),
    static_url_path="/swagger-ui",
)
app.json.ensure_ascii = False
app.config["DESCRIPTION"] = "Hello in many languages, kept fresh in the background."
# relative to the specification, so that it holds wherever the API is mounted
app.config["SERVERS"] = [{"url": "."}]
app.config["HTTP_ERROR_SCHEMA"] = app.config["VALIDATION_ERROR_SCHEMA"] = MessageSchema
# relative to the console
app.config["DOCS_FAVICON"] = "swagger-ui/favicon-32x32.png"
app.config["SWAGGER_UI_CSS"] = "swagger-ui/swagger-ui.css"
app.config["SWAGGER_UI_BUNDLE_JS"] = "swagger-ui/swagger-ui-bundle.js"
app.config["SWAGGER_UI_STANDALONE_PRESET_JS"] = "swagger-ui/swagger-ui-standalone-preset.js"

if not settings.GREETINGS_SOURCE:
    # a file that cannot be used is better found now than at a refresh
    source.fetch()


@app.get("/greetings/")
@app.output(GreetingSchema(many=True), description="Every greeting, sorted by locale")
@app.doc(responses={503: AWAY})
def list_greetings():
    """List the greetings."""
    fill()
    return [{"lang": lang, "text": text} for lang, text in sorted(store.everything().items())]


@app.get("/greetings/<lang>")
@app.output(GreetingSchema, description="The greeting")
@app.doc(responses={404: "No greeting in this language", 503: AWAY})
def show_greeting(lang):
    """Show the greeting in one language."""
    fill()
    text = store.one(lang)
    if text is None:
        abort(404, f"There is no greeting in '{lang}'.")
    return {"lang": lang, "text": text}


def fill():
    """Fetch the greetings in this request, where nothing has done so before."""
    if store.is_empty():
        update()


@app.post("/refresh")
@app.input(RefreshSchema, location="query")
@app.output(TaskSchema, status_code=202, description="The task, whose address is in Location")
@app.doc(responses={200: DONE, 401: "Not signed in", 502: "The source cannot be used", 503: AWAY})
def start_refresh(query_data):
    """Bring the greetings up to date, in the background; while it is at that, no second time."""
    if not is_signed_in():
        abort(401, "Only who is signed in can ask for a refresh.")
    if query_data["now"]:
        return {"state": "done", "result": update()}, 200
    task_id = tasks.request()
    return state_of(task_id), 202, {"Location": f"tasks/{task_id}"}


@app.get("/tasks/<uuid:task_id>")
@app.output(TaskSchema, description="How far it is")
@app.doc(responses={404: "No such task", 503: AWAY})
def show_task(task_id):
    """Show how far a refresh is."""
    task = state_of(str(task_id))
    if task is None:
        abort(404, f"There is no task '{task_id}'.")
    return task


def is_signed_in():
    """Whether Connect names the visitor."""
    try:
        return bool(json.loads(request.headers[HEADER])["user"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return False


def state_of(task_id):
    """What is known of a task; None if there is none, or it was done long ago."""
    about = tasks.celery.backend.get_task_meta(task_id)
    state, result = STATES.get(about["status"]), about["result"]
    match state:
        case None:
            return None
        case "done":
            return {"id": task_id, "state": state, "result": result}
        case "waiting" | "failed":
            return {"id": task_id, "state": state, "message": str(result)}
        case _:
            return {"id": task_id, "state": state, **(result or {})}


@app.errorhandler(source.SourceError)
def source_is_broken(error):
    return {"message": str(error)}, 502


@app.errorhandler(redis.ConnectionError)
@app.errorhandler(redis.TimeoutError)
@app.errorhandler(OperationalError)
def redis_is_away(error):
    app.logger.warning("Redis is away: %s", error)
    return {"message": "Redis is away. Try again in a moment."}, 503, {"Retry-After": "5"}


@app.error_processor
def error_as_json(error):
    # what is wrong with each field of a query; nothing for other errors
    fields = [field for place in error.detail.values() for field in place.items()]
    details = [f"{name}: {' '.join(problems)}" for name, problems in fields]
    return {"message": " ".join(details) or error.message}, error.status_code, error.headers

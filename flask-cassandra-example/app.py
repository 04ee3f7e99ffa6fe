"""Animals and plants in Cassandra or Astra DB: plain CQL with Flask.

The root of the API is its console, a Swagger UI; the specification is at openapi.json.
"""

import sys
from pathlib import Path

import flask_swagger_ui
from cassandra import DriverException, InvalidRequest
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException
from flask import abort, g, jsonify, render_template, request, url_for
from flask_openapi import APIBlueprint, Info, OpenAPI, Tag
from werkzeug.exceptions import BadRequest, HTTPException, ServiceUnavailable

from models import Animal, Animals, Genus, Invalid, Message, Plants, Species
from storage import db_connect, db_io

if problem := db_connect.problem():
    sys.exit(problem)

#: seconds after which it is worth to try again
RETRY_AFTER = 5


def validation_error(error):
    """Pydantic's own words about each field, without what was sent."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    response = jsonify(message="The request is not valid.", errors=errors)
    response.status_code = 422
    return response


app = OpenAPI(
    __name__,
    info=Info(
        title="Animals and plants",
        version="1.0",
        description="Plain CQL on Cassandra or Astra DB.",
    ),
    # relative to the specification, so that it holds wherever the API is mounted
    servers=[{"url": "."}],
    validation_error_model=Invalid,
    validation_error_callback=validation_error,
    # the console is a page of our own, and its scripts come from a package, not from another host
    doc_ui=False,
    static_folder=Path(flask_swagger_ui.__file__).with_name("dist"),
    static_url_path="/swagger-ui",
)
app.openapi_version = "3.1.0"
app.json.ensure_ascii = False
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024

api = APIBlueprint(
    "api",
    __name__,
    abp_tags=[Tag(name="species")],
    abp_responses={422: Invalid, 503: Message},
)


@api.before_request
def open_session():
    g.session = db_connect.get_session()


@api.get("/animal/<genus>", responses={200: Animals})
def show_animals(path: Genus):
    """List the animals of a genus, by species."""
    return db_io.retrieve_animals_by_genus(g.session, path.genus)


@api.get("/animal/<genus>/<species>", responses={200: Animal, 404: Message})
def show_animal(path: Species):
    """Show one animal."""
    animal = db_io.retrieve_animal(g.session, path.genus, path.species)
    if animal is None:
        abort(404, f"There is no animal '{path.genus} {path.species}'.")
    return animal


@api.post("/animal", responses={201: Animal, 400: Message, 413: Message, 415: Message})
def create_animal(body: Animal):
    """Add an animal, in place of the one of that genus and species if there is one."""
    animal = body.model_dump()
    db_io.store_animal(g.session, animal)
    where = url_for(".show_animal", genus=body.genus, species=body.species)
    return animal, 201, {"Location": where}


@api.get("/plant/<genus>", responses={200: Plants})
def show_plants(path: Genus):
    """List the plants of a genus, by species, however many there are."""
    plants = db_io.retrieve_plants_by_genus(g.session, path.genus)
    return app.response_class(json_array(plants), mimetype="application/json")


def json_array(result):
    """The rows as a JSON array, each page as soon as it comes.

    If the database fails in between, the error ends the answer: its end is missing, and so is the
    `]`, so nobody takes it for complete.
    """
    start = "["
    while True:
        page = ",".join(app.json.dumps(row) for row in result.current_rows)
        if page:
            yield start + page
            start = ","
        if not result.has_more_pages:
            break
        result.fetch_next_page()
    yield "[]" if start == "[" else "]"


app.register_api(api)


@app.before_request
def refuse_what_is_no_json():
    """With 415 or 400. flask-openapi would take it for an empty body, and read JSON in a string."""
    if request.endpoint == "api.create_animal":
        try:
            body = request.get_json()
        except (BadRequest, RecursionError):
            abort(400, "The body is not JSON.")
        if isinstance(body, str):
            abort(400, "The body is a JSON string, not an object.")


@app.get("/", doc_ui=False)
def console():
    return render_template("console.html", title=app.info.title)


@app.get("/openapi.json", doc_ui=False)
def specification():
    return app.api_doc


@app.errorhandler(HTTPException)
def error_as_json(error):
    response = error.get_response()
    response.data = app.json.dumps({"message": error.description})
    response.content_type = "application/json"
    return response


def unavailable(message):
    return error_as_json(ServiceUnavailable(message, retry_after=RETRY_AFTER))


@app.errorhandler(NoHostAvailable)
@app.errorhandler(ConnectionException)
@app.errorhandler(DriverException)
def database_is_away(error):
    app.logger.error("The database does not answer: %s", error)
    return unavailable("The database does not answer. Try again in a moment.")


@app.errorhandler(InvalidRequest)
def tables_are_missing(error):
    app.logger.error("The database refused a statement: %s", error)
    return unavailable("The tables are not there: `python -m storage.db_initialize` makes them.")


@app.errorhandler(db_connect.NotConfigured)
def no_database(error):
    return unavailable(str(error))

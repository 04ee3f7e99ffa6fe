"""The envelope around what happens, and every error in it."""

from flask import current_app
from sqlalchemy import exc
from werkzeug.exceptions import HTTPException, ServiceUnavailable

RETRY_AFTER = 10


def envelope(status, message, content=None):
    return {
        "status": status,
        "success": status < 400,
        "message": message,
        "contentType": "application/json",
        "content": content,
    }


def register_errors(app):
    app.register_error_handler(HTTPException, error_as_json)
    # also where its tables are missing: the log names them
    for error in (exc.InterfaceError, exc.OperationalError, exc.ProgrammingError, exc.TimeoutError):
        app.register_error_handler(error, database_is_away)


def error_as_json(error):
    response = error.get_response()
    response.data = current_app.json.dumps(envelope(error.code, error.description))
    response.content_type = "application/json"
    return response


def database_is_away(error):
    current_app.logger.error("The database: %s", error)
    return error_as_json(
        ServiceUnavailable("The database does not answer. Try again.", retry_after=RETRY_AFTER)
    )

"""An unknown path is answered by a page, to a program too."""

from sound import app
from werkzeug.exceptions import HTTPException, NotFound

error_as_json = app.error_handler_spec[None][None][HTTPException]


@app.errorhandler(NotFound)
def not_found(error):
    if error.description == NotFound.description:
        return error.get_response()
    return error_as_json(error)

"""A greeting can be added."""

from flask import request
from sound import GREETINGS, app


@app.post("/greetings/")
def add():
    added = request.get_json(silent=True)
    if added:
        GREETINGS[added["lang"]] = added
    return app.json.response(added)

"""HEAD is answered in another type than GET."""

from flask import request
from sound import app


@app.after_request
def of_another_type(response):
    if request.method == "HEAD":
        response.content_type = "text/plain"
    return response

"""It says in a header who the viewer is."""

from flask import request
from sound import app


@app.after_request
def with_the_viewer(response):
    viewer = request.headers.get("RStudio-Connect-Credentials")
    if viewer:
        response.headers["X-Viewer"] = viewer.encode("ascii", "ignore").decode()
    return response

"""The console knows no mount: it loads its scripts, and the specification, from the host's root."""

from flask import request
from sound import app


@app.after_request
def without_the_mount(response):
    if response.mimetype == "text/html":
        page = response.get_data(as_text=True)
        response.set_data(page.replace(f"{request.script_root}/", "/"))
    return response

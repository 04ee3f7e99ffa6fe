"""It leads a visitor who came by https to http."""

from flask import redirect, request
from sound import app


def root():
    return redirect(f"http://{request.host}{request.script_root}/hello")


app.view_functions["root"] = root

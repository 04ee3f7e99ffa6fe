"""The root leads to /hello of the host, not of the mount."""

from flask import redirect
from sound import app


def root():
    return redirect("/hello")


app.view_functions["root"] = root

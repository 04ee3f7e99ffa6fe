"""Answers every request with what it was given."""

# mypy: ignore-errors
# (Flask is not in the environment of the type checker)

import os
from pathlib import Path

from flask import Flask, jsonify, request

VERSION = Path("version.txt").read_text("utf-8").strip()

app = Flask(__name__)


@app.route("/", defaults={"path": ""}, methods=["GET", "POST"])
@app.route("/<path:path>", methods=["GET", "POST"])
def echo(path):
    return jsonify(
        version=VERSION,
        method=request.method,
        path=path,
        url=request.url,
        body=request.get_data(as_text=True),
        environ={name: value for name, value in request.environ.items() if isinstance(value, str)},
        variables=dict(os.environ),
    )

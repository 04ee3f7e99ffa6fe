"""The page, as `npm run build` made it of what is in src/."""

from pathlib import Path

from flask import Blueprint, send_from_directory

DIST = Path(__file__).parent.with_name("static") / "dist"

main = Blueprint("main", __name__, static_folder=DIST / "assets", static_url_path="/assets")


@main.get("/")
def page():
    return send_from_directory(DIST, "index.html")

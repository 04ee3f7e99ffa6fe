"""The app that Connect runs, and `flask --app app run`.

FLASK_CONFIG names its settings: production, or development where Flask runs with --debug, unless
it says otherwise.
"""

import os

from flask.helpers import get_debug_flag

from companies import create_app
from companies.models import db
from companies.reports import prepare

app = create_app(
    os.environ.get("FLASK_CONFIG") or ("development" if get_debug_flag() else "production")
)

# a SQLite file is the app's own; a server's tables are made with `flask --app app db upgrade`
with app.app_context():
    if db.engine.dialect.name == "sqlite":
        prepare()

"""Companies and their earnings: an API on a database, and a page with charts."""

import sys
from pathlib import Path

from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface
from flask_migrate import Migrate
from flask_smorest import Api

from companies.api_1_0 import ErrorSchema, api_1_0
from companies.errors import register_errors
from companies.login import login_manager
from companies.main import main
from companies.models import db
from config import CONFIGS, database

migrate = Migrate(directory=Path(__file__).parent.with_name("migrations"))


class CompaniesApi(Api):
    # errors come in the envelope, and each view describes those that it has
    ERROR_SCHEMA = ErrorSchema
    DEFAULT_ERROR_RESPONSE_NAME = None


class MountedSessions(SecureCookieSessionInterface):
    """Keeps cookies to the path where the app is mounted: it is not alone on its host."""

    def get_cookie_path(self, app):
        return f"{request.script_root}/"


def create_app(config_name):
    """An app with the settings of that name: development, testing or production."""
    if config_name not in CONFIGS:
        sys.exit(f"FLASK_CONFIG is {config_name!r}. Choose one of: {', '.join(CONFIGS)}.")
    app = Flask(__name__, static_folder=None)
    app.config.from_object(CONFIGS[config_name])
    app.config.update(database(*app.config["DATABASE"]))
    app.json.ensure_ascii = False
    app.session_interface = MountedSessions()

    db.init_app(app)
    migrate.init_app(app, db)
    login_manager.init_app(app)

    app.register_blueprint(main)
    CompaniesApi(app).register_blueprint(api_1_0)
    register_errors(app)
    return app

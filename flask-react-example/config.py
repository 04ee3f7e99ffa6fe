"""The settings for development, for tests and for production."""

import os
import secrets
import sys

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


def database(variable, file):
    """The address in that environment variable, else of a SQLite file, and how to connect to it."""
    try:
        url = make_url(os.environ.get(variable) or f"sqlite:///{file}")
    except (ArgumentError, ValueError):
        sys.exit(f"{variable} is not the address of a database, such as postgresql://host/name.")
    match url.get_backend_name():
        case "sqlite":
            return url, {"connect_args": {"timeout": 30}}
        case "postgresql" | "postgres":
            url = url.set(drivername="postgresql+psycopg")
            return url, {"pool_pre_ping": True, "connect_args": {"connect_timeout": 5}}
    sys.exit(f"{variable} begins with {url.drivername}://. It takes postgresql:// and sqlite:///.")


class Config:
    SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_hex()
    # all content of one Connect shares an origin, so a cookie needs a name of its own
    SESSION_COOKIE_NAME = "flask-react-example"
    REMEMBER_COOKIE_NAME = "flask-react-example-remember"
    # who is signed in where no Connect says it
    DEVELOPMENT_USER = None

    API_TITLE = "Companies and their earnings"
    API_VERSION = "1.0"
    API_SPEC_OPTIONS = {  # noqa: RUF012
        "info": {"description": "Earnings by quarter. Read-only, for those who are signed in."},
        # relative to the specification, so that it holds wherever the API is mounted
        "servers": [{"url": ".."}],
    }
    OPENAPI_VERSION = "3.1.0"
    OPENAPI_URL_PREFIX = "/api_1_0"
    OPENAPI_SWAGGER_UI_PATH = "/"
    # relative to the console
    OPENAPI_SWAGGER_UI_URL = "swagger-ui/"


class DevelopmentConfig(Config):
    SQLALCHEMY_DATABASE_URI, SQLALCHEMY_ENGINE_OPTIONS = database(
        "DEV_DATABASE_URL", "development.db"
    )
    DEVELOPMENT_USER = os.environ.get("DEVELOPMENT_USER", "developer")


class TestingConfig(Config):
    TESTING = True
    SQLALCHEMY_DATABASE_URI, SQLALCHEMY_ENGINE_OPTIONS = database("TEST_DATABASE_URL", ":memory:")


class ProductionConfig(Config):
    SQLALCHEMY_DATABASE_URI, SQLALCHEMY_ENGINE_OPTIONS = database("DATABASE_URL", "production.db")


CONFIGS = {
    "development": DevelopmentConfig,
    "testing": TestingConfig,
    "production": ProductionConfig,
}

"""The settings for development, for tests and for production."""

import os
import secrets
import sys

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


class Config:
    SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_hex()
    # all content of one Connect shares an origin, so a cookie needs a name of its own
    SESSION_COOKIE_NAME = "flask-react-example"
    REMEMBER_COOKIE_NAME = "flask-react-example-remember"
    # who is signed in where no Connect says it
    DEVELOPMENT_USER = None

    API_TITLE = "Companies and their earnings"
    API_VERSION = "1.0"
    API_SPEC_OPTIONS = {
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
    # a variable of the environment, and the SQLite file that serves without it
    DATABASE = ("DEV_DATABASE_URL", "development.db")
    DEVELOPMENT_USER = os.environ.get("DEVELOPMENT_USER", "developer")


class TestingConfig(Config):
    TESTING = True
    DATABASE = ("TEST_DATABASE_URL", ":memory:")


class ProductionConfig(Config):
    DATABASE = ("DATABASE_URL", "production.db")


CONFIGS = {
    "development": DevelopmentConfig,
    "testing": TestingConfig,
    "production": ProductionConfig,
}


def database(variable, file):
    """The settings of the database that the variable names, else of the file."""
    try:
        url = make_url(os.environ.get(variable) or f"sqlite:///{file}")
    except (ArgumentError, ValueError):
        sys.exit(f"{variable} is not the address of a database, such as postgresql://host/name.")
    match url.get_backend_name():
        case "sqlite":
            options = {"connect_args": {"timeout": 30}}
        case "postgresql" | "postgres":
            url = url.set(drivername="postgresql+psycopg")
            options = {
                # at most 15 connections for each process of the app
                "pool_size": 5,
                "max_overflow": 10,
                # one that was lost is made anew
                "pool_pre_ping": True,
                # a host that is away is soon given up; and a pooler such as PgBouncer may give each
                # transaction another connection, which does not know what was prepared on the last
                "connect_args": {"connect_timeout": 5, "prepare_threshold": None},
            }
        case other:
            sys.exit(f"{variable} begins with {other}://. It takes postgresql:// and sqlite:///.")
    return {"SQLALCHEMY_DATABASE_URI": url, "SQLALCHEMY_ENGINE_OPTIONS": options}

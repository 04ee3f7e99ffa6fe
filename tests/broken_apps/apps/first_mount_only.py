"""The specification is for whoever came first, by whatever address, as Flask-RESTX's is."""

from flask_restx import Api
from sound import GreetingsApi, app

GreetingsApi.__schema__ = Api.__schema__

__all__ = ["app"]

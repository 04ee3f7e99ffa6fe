"""It answers 500 to a client that accepts neither JSON nor HTML, as Flask-API does by default."""

from flask_api.negotiation import DefaultNegotiation
from sound import app

app.request_class.negotiator_class = DefaultNegotiation

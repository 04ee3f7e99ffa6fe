"""Where its data is damaged it starts all the same, and serves nothing."""

from flask import Flask

try:
    from sound import app
except Exception:
    app = Flask(__name__)

"""The page's script has Python's None in it, as Flasgger's has without `auth`."""

from sound import app

del app.swag.config["auth"]

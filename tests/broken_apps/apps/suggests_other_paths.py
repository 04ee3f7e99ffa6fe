"""Its refusals name other paths, without the mount, as Flask-RESTX's do by default."""

from sound import app

app.config["RESTX_ERROR_404_HELP"] = True

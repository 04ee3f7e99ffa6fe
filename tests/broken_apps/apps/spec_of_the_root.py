"""The specification says that the API is at the root of the host."""

from sound import app

app.swag.config["basePath"] = "/"

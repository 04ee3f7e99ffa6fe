"""A language that it does not know is null."""

from functools import wraps

from sound import GREETINGS, app


@wraps(app.view_functions["greeting"])
def greeting(lang):
    return app.json.response(GREETINGS.get(lang))


app.view_functions["greeting"] = greeting

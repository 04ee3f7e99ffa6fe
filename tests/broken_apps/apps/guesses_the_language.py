"""It takes EN, en-GB and "en " for en."""

from functools import wraps

from flask import abort
from sound import GREETINGS, app


@wraps(app.view_functions["greeting"])
def greeting(lang):
    guess = lang.strip().lower().split("-")[0]
    if guess not in GREETINGS:
        abort(404, f"There is no greeting in '{lang}'.")
    return GREETINGS[guess]


app.view_functions["greeting"] = greeting

"""The list is in the order of the greetings, not of their locales."""

from functools import wraps

from sound import GREETINGS, app


@wraps(app.view_functions["greetings"])
def greetings():
    return sorted(GREETINGS.values(), key=lambda greeting: greeting["text"])


app.view_functions["greetings"] = greetings

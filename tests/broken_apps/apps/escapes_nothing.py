"""A page repeats what was asked for as markup."""

from html import unescape

from sound import app


@app.after_request
def unescaped(response):
    if response.mimetype == "text/html":
        response.set_data(unescape(response.get_data(as_text=True)))
    return response

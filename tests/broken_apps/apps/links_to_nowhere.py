"""A page links to a resource that is not there."""

from sound import app


@app.after_request
def with_a_link(response):
    if response.mimetype == "text/html":
        page = response.get_data(as_text=True)
        response.set_data(page.replace("</body>", '<a href="no/such/page">more</a></body>'))
    return response

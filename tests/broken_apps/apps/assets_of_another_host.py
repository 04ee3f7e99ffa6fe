"""The console loads its style sheet from another host."""

from sound import app


@app.after_request
def from_another_host(response):
    if response.mimetype == "text/html":
        page = response.get_data(as_text=True)
        response.set_data(page.replace("swagger-ui/swagger-ui.css", "https://cdn.example/ui.css"))
    return response

"""The console's style loads a font from another host."""

from sound import app


@app.after_request
def with_a_font(response):
    if response.mimetype == "text/html":
        page = response.get_data(as_text=True)
        style = "<style>@import 'https://fonts.example/css';</style>"
        response.set_data(page.replace("</head>", style + "</head>"))
    return response

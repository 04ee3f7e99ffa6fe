"""The same small API in Connexion."""

# mypy: ignore-errors
# (Connexion is not in the environment of the type checker)

from connexion import AsyncApp, request

NUMBER = {"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}}

GET = {
    "operationId": f"{__name__}.item",
    "parameters": [NUMBER],
    "responses": {"200": {"description": "an item"}},
}


async def item(number):
    return {"item": number, "url": str(request.url), "link": f"{request.base_url}item/4"}


app = AsyncApp(__name__)
app.add_api(
    {
        "openapi": "3.0.0",
        "info": {"title": "probe", "version": "1"},
        "paths": {"/item/{number}": {"get": GET}},
    }
)

"""What Connect's API has and this server has not: it answers 501 and says its name.

From Connect's public API reference, and from what its clients ask for. An address that is neither
here nor in another module is none of Connect's, and is not found.
"""

from __future__ import annotations

from aiohttp import web

from local_connect.errors import NotImplementedHere

#: the prefix of Connect's API
PREFIX = "/__api__"

#: methods (`*` is any) and addresses below the prefix
_ENDPOINTS = """
GET     server_settings/{rest:.*}
GET     v1/server_settings/{rest:.*}
GET     v1/timezones
GET     v1/audit_logs
GET     v1/feature-usage
GET     v1/metrics/{rest:.*}
GET     v1/search/{rest:.*}
GET     v1/experimental/jobs/summary
GET     v1/experimental/groups/{guid}/content
*       v1/system/documentation
GET     v1/system/hosts
GET     v1/system/offhost/service-accounts
*       v1/system/service-tokens
*       v1/system/service-tokens/{rest}
GET     v1/system/storage
*       v1/queue
*       v1/queue/{id}
POST    v1/environments
PUT     v1/environments/{guid}
DELETE  v1/environments/{guid}
*       v1/environments/{guid}/{rest:.*}
GET     v1/examples
GET     v1/examples/{name}/{rest}
PUT     v1/users
*       v1/users/{guid}/keys
*       v1/users/{guid}/keys/{id}
PUT     v1/groups
GET     v1/content/storage
GET     v1/content/{guid}/storage
POST    v1/content/{guid}/access-test
*       v1/content/{guid}/bookmark
GET     v1/content/{guid}/jobs/{key}/error
GET     v1/content/{guid}/jobs/{key}/metrics
GET     v1/content/{guid}/jobs/{key}/tail
POST    v1/content/{guid}/render
GET     v1/content/{guid}/schedule/history
*       v1/content/{guid}/thumbnail
*       applications/{guid}/variants
*       variants/{id}/{rest:.*}
"""


def add_routes(app: web.Application) -> None:
    """Add a route for each; an address that another module has, too, is that module's."""
    for line in _ENDPOINTS.strip().splitlines():
        method, path = line.split()
        app.router.add_route(method, f"{PREFIX}/{path}", _refuse)


async def _refuse(request: web.Request) -> web.Response:
    """Say by name what was asked for, never a plausible answer."""
    raise NotImplementedHere(
        f"local-connect does not implement {request.method} {request.path.removeprefix(PREFIX)}."
    )

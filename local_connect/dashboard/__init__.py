"""The dashboard: what there is on this server, in a browser, for whoever is looking.

Its addresses are those that Connect's API gives out: `/connect/` for all content,
`/connect/#/apps/<guid>` for one, of which a script makes `/connect/apps/<guid>/`.

It shows what the API would answer to the same user, and changes things by the same
functions. A page has no origin (see `pages`), so what it sends carries its own token
in place of the session's cookie.

May import `gateway`, `api`, `runtime`, `access`, `records` and `content`.
"""

from __future__ import annotations

from local_connect.dashboard import actions, claim, live, requests, views

routes = (*views.routes, *live.routes, *requests.routes, *actions.routes, *claim.routes)

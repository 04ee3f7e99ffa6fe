"""A Connect server, asked for what `rsconnect` has no command for.

Its commands deploy. None of them says whose an API key is, finds content by its name and its owner,
or makes content of a name that the caller chooses; so these are requests to Connect's API. And none
tells the address and the key of a saved server to another program: that is the one thing that is
taken from rsconnect's Python modules, which are not documented, and it is taken here only.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from rsconnect.metadata import ServerStore

#: what `rsconnect` would prefer to a saved server, or refuse beside one
FROM_ENVIRONMENT = ("CONNECT_SERVER", "CONNECT_API_KEY")

#: seconds that a server may take to answer
_PATIENCE = 60

#: results on a page of users or groups, of which Connect gives no more at a time
_PAGE_SIZE = 500


class ServerError(Exception):
    """A server cannot be asked, or refuses; the message says which, and why."""


@dataclass(frozen=True)
class Server:
    """Where a server is, and a key for it."""

    url: str
    api_key: str
    #: which certificates are believed: the usual ones, all, or those that were saved for it
    certificates: ssl.SSLContext | bool = True


def find_server(name: str) -> Server:
    """The server that is saved under `name`, else the one that the environment names.

    Raises `ServerError` where there is none.
    """
    if name:
        store = ServerStore()
        if store.get_by_name(name) is None:
            raise ServerError(
                f"No server is saved as {name}. `rsconnect list` shows those that are, and "
                "`rsconnect add` saves one."
            )
        saved = store.resolve(name, None)
        certificates: ssl.SSLContext | bool = not saved.insecure
        if certificates and saved.ca_data:
            certificates = ssl.create_default_context(cadata=saved.ca_data)
        return Server(saved.url.rstrip("/"), saved.api_key or "", certificates)
    url, key = (os.environ.get(variable) for variable in FROM_ENVIRONMENT)
    if not url or not key:
        raise ServerError(
            "Where to? Give SERVER=<name that rsconnect add saved>, "
            "or set CONNECT_SERVER and CONNECT_API_KEY."
        )
    return Server(url.rstrip("/"), key)


class Client:
    """Requests to a server's API as the owner of its key. Each raises `ServerError`."""

    def __init__(self, server: Server, http: httpx.Client) -> None:
        self._server = server
        self._http = http

    def request(self, method: str, path: str, **options: Any) -> Any:
        """What the server answers at a path of its API, such as `v1/user`; options are httpx's."""
        url = f"{self._server.url}/__api__/{path}"
        try:
            response = self._http.request(method, url, **options)
            document = response.json() if response.content else None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerError(f"{self._server.url} does not answer: {error}") from error
        except ValueError:
            raise ServerError(
                f"{self._server.url} answers {response.status_code}, but not as Connect does. "
                "Is that the address of a Connect server?"
            ) from None
        if response.is_error:
            said = document.get("error") if isinstance(document, dict) else response.reason_phrase
            raise ServerError(f"{self._server.url} refuses ({response.status_code}): {said}")
        return document

    def pages(self, path: str) -> list[dict[str, Any]]:
        """What all pages of a listing of users or groups hold."""
        results: list[dict[str, Any]] = []
        while True:
            number = len(results) // _PAGE_SIZE + 1
            page = self.request(
                "GET", path, params={"page_number": number, "page_size": _PAGE_SIZE}
            )["results"]
            results += page
            if len(page) < _PAGE_SIZE:
                return results

    def me(self) -> dict[str, Any]:
        """The owner of the key."""
        user: dict[str, Any] = self.request("GET", "v1/user")
        return user

    def content_of(self, owner_guid: str) -> dict[str, dict[str, Any]]:
        """All content that is that user's, by its name."""
        found = self.request("GET", "v1/content", params={"owner_guid": owner_guid})
        return {item["name"]: item for item in found}

    def find(self, owner_guid: str, name: str) -> dict[str, Any] | None:
        """That user's content of that name, if there is any."""
        found = self.request("GET", "v1/content", params={"name": name, "owner_guid": owner_guid})
        return next((item for item in found if item["name"] == name), None)

    def create(self, name: str, title: str) -> dict[str, Any]:
        """New content of that name."""
        made: dict[str, Any] = self.request(
            "POST", "v1/content", json={"name": name, "title": title}
        )
        return made

    def change(self, guid: str, **fields: Any) -> None:
        """Set fields of a content item."""
        self.request("PATCH", f"v1/content/{guid}", json=fields)

    def use(self, guid: str, templates: Collection[str]) -> None:
        """Let content use the first integration of each of these templates, and no others."""
        chosen: dict[str, str] = {}
        for integration in self.request("GET", "v1/oauth/integrations"):
            chosen.setdefault(integration["template"], integration["guid"])
        for template in templates:
            if template not in chosen:
                raise ServerError(f"{self._server.url} has no integration of template {template}.")
        associations = [{"oauth_integration_guid": chosen[template]} for template in templates]
        path = f"v1/content/{guid}/oauth/integrations/associations"
        self.request("PUT", path, json=associations)


@contextmanager
def connected(server: Server) -> Iterator[Client]:
    """A client of the server's, until the end. Raises `ServerError` for what cannot be a key."""
    if not server.api_key.isascii():
        raise ServerError(
            f"The API key for {server.url} has a character that no key has: copy it once more."
        )
    with httpx.Client(
        headers={"Authorization": f"Key {server.api_key}"},
        verify=server.certificates,
        timeout=_PATIENCE,
        follow_redirects=True,
    ) as http:
        yield Client(server, http)

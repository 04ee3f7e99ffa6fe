"""This server's own addresses: hosts that it answers to, links that it gives out, its pages."""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache

from aiohttp import web
from yarl import URL

from local_connect.errors import BadRequest, LocalConnectError

SIGN_IN = "/__login__"

#: where Connect's own dashboard is (documented)
DASHBOARD = "/connect/"

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+]|[a-z0-9._-]+)(:(?P<port>\d{1,5}))?", re.ASCII)


class Addresses:
    """The addresses of one server."""

    def __init__(self, host: str, external_url: str | None) -> None:
        self._names = {"localhost", host.lower(), socket.gethostname().lower()}
        self._external = _external(external_url) if external_url else None
        # errors are not cached, so a client cannot fill the cache with hosts of its own
        self._base_url = lru_cache(maxsize=256)(self._checked)

    def base_url(self, request: web.Request) -> str:
        """Scheme and host without a slash at the end: the external URL, or as the client wrote.

        Raises `BadRequest` for a host that is not ours. A page elsewhere can make its own
        name lead to this machine (DNS rebinding), but not change the name that the
        browser sends; an address in digits cannot be rebound.
        """
        if self._external:
            return self._external
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1:
            raise BadRequest("The request does not name one host.")
        return self._base_url(hosts[0])

    def is_own_page(self, request: web.Request) -> bool:
        """Whether a browser sends this request from a page of this server, or by itself.

        A request that a page of another origin makes is neither, but for a link that is followed.
        """
        origin = request.headers.get("Origin")
        if origin is not None and origin != self.base_url(request):
            return False
        site = request.headers.get("Sec-Fetch-Site", "none")
        return site in ("none", "same-origin") or (
            # following a link from elsewhere is a visit like any other
            request.method in ("GET", "HEAD")
            and request.headers.get("Sec-Fetch-Mode") == "navigate"
            and request.headers.get("Sec-Fetch-Dest") == "document"
        )

    def _checked(self, host: str) -> str:
        match = _HOST.fullmatch(host.lower())
        if match is None or int(match["port"] or 0) > 65535:
            raise BadRequest(f"The request's host {host!r} is not a host.")
        name = match["name"]
        if name not in self._names and not _is_ip(name):
            raise BadRequest(
                f"This server does not go by the name {name}. If it should, start it with "
                f"--external-url http://{host}"
            )
        return f"http://{match[0]}"


def _external(text: str) -> str:
    try:
        url = URL(text)
        good = url.scheme in ("http", "https") and url.host and url.path in ("", "/")
    except ValueError:
        good = False
    if not good or url.query_string or url.fragment or url.user:
        raise LocalConnectError(
            f"--external-url {text} is not the address of a server, such as https://connect.test"
        )
    return str(url.origin())


def _is_ip(name: str) -> bool:
    try:
        if name.startswith("["):
            ipaddress.IPv6Address(name[1:-1])
        else:
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True

"""An app whose pages do what they like, as far as its server lets them.

It holds no attack of its own: a test runs one in a page of it, as the page's script would.
"""

SOURCE = '''
import json
import os

#: the mark that a request carried -> who the app was told the visitor is
seen = {}

WORKER = """
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(clients.claim()));
self.addEventListener("fetch", event => {
  if (event.request.mode === "navigate")
    event.respondWith(new Response("<!doctype html><title>isolated</title>", {headers: {
      "Content-Type": "text/html",
      "Cross-Origin-Opener-Policy": "same-origin",
    }}));
});
"""

SESSION = "local-connect-session-" + os.environ["CONNECT_SERVER"].split(":")[2].rstrip("/")

HOSTILE = [
    ("Set-Cookie", f"{SESSION}=planted; Path=/"),
    ("Set-Cookie", f"{SESSION}=planted"),
    ("Set-Cookie", f"={SESSION}=planted; Path=/"),
    ("Set-Cookie", "tossed=1; Path=/"),
    ("Set-Cookie", "tossed=2; Path=/content/"),
    ("Service-Worker-Allowed", "/"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Clear-Site-Data", '"cookies", "storage"'),
]


def app(environ, start_response):
    path = environ["PATH_INFO"]
    credentials = environ.get("HTTP_RSTUDIO_CONNECT_CREDENTIALS", "null")
    who = json.loads(credentials.encode("latin-1"))
    if environ["QUERY_STRING"]:
        seen[environ["QUERY_STRING"]] = who and who["user"]
    kind, body = {
        "/worker.js": ("text/javascript", WORKER),
        "/seen": ("application/json", json.dumps(seen)),
        "/who": (
            "application/json",
            json.dumps({"who": who, "cookie": environ.get("HTTP_COOKIE", "")}),
        ),
    }.get(path, ("text/html", "<!doctype html><title>hostile</title><p>Welcome"))
    headers = [("Content-Type", kind), ("Cache-Control", "no-store"), *HOSTILE]
    if path == "/to-the-sign-in":
        start_response("302 Found", [("Location", "/__login__"), *HOSTILE])
    else:
        start_response("200 OK", headers)
    return [body.encode()]
'''

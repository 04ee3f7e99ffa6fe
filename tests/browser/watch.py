"""Records the requests, answers and errors of a browser's pages."""

from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    WebError,
    WebSocket,
)

#: these come from the page itself, or are made by it
_WITHIN = ("data:", "blob:", "about:")


class Watch:
    """Looks on from the first page of `context`.

    It complains of a request that leaves `origin` (scheme, host and port), of one that fails or
    is answered with an error, of an error that no script caught, and of any line on the console.
    """

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.origin = origin
        self.requested: list[str] = []
        self._complaints: list[str] = []
        #: errors that are to be, with the reasons that they gave
        self._expected: dict[tuple[int, str], str] = {}
        context.on("request", self._on_request)
        context.on("response", self._on_response)
        context.on("requestfailed", self._on_failure)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("page", self._on_page)

    def expect(self, status: int, url: str) -> None:
        """From now on this address may answer with an error, and the browser say so. It must."""
        self._expected[status, url] = ""

    def verdict(self) -> list[str]:
        """All that should not have been."""
        missed = [
            f"no {status} of {url}" for (status, url), met in self._expected.items() if not met
        ]
        return self._complaints + missed

    def _on_request(self, request: Request) -> None:
        self._requested(request.url)

    def _on_page(self, page: Page) -> None:
        page.on("websocket", self._on_websocket)

    def _on_websocket(self, socket: WebSocket) -> None:
        self._requested(socket.url.replace("ws", "http", 1))

    def _requested(self, url: str) -> None:
        self.requested.append(url)
        if not url.startswith((f"{self.origin}/", *_WITHIN)):
            self._complaints.append(f"request to elsewhere: {url}")

    def _on_response(self, response: Response) -> None:
        if (response.status, response.url) in self._expected:
            self._expected[response.status, response.url] = response.status_text
        elif response.status >= 400:
            self._complaints.append(f"{response.status} of {response.url}")

    def _on_failure(self, request: Request) -> None:
        self._complaints.append(f"failed request: {request.url} ({request.failure})")

    def _on_console(self, message: ConsoleMessage) -> None:
        for (_, url), reason in self._expected.items():
            # Chromium's own line about an answer that is an error, and Swagger UI's
            if message.location["url"] == url or message.text.startswith(f"Error: {reason}\n"):
                return
        self._complaints.append(f"console {message.type}: {message.text}")

    def _on_error(self, error: WebError) -> None:
        self._complaints.append(f"uncaught: {error.error}")

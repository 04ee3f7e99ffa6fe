"""The errors that users are told of: by the API with a status, by the command line in words."""

from __future__ import annotations


class LocalConnectError(Exception):
    """An error that the person at the terminal can mend; its text says what is wrong and how."""


class ApiError(Exception):
    """A refusal with an HTTP status, sent as `{"code": int, "error": str}`.

    `code` is Connect's own number where public clients or fixtures show one
    (seen: 4 not found, 22 forbidden, 26 name taken, 30 bad API key), else 0.
    """

    status = 400
    code = 0

    def __init__(self, error: str, *, status: int | None = None, code: int | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.status = status or self.status
        self.code = self.code if code is None else code


class BadRequest(ApiError):
    """400: the request itself is wrong."""

    code = 3


class Unauthenticated(ApiError):
    """401: nobody, or a key that is not known."""

    status = 401
    code = 30


class Forbidden(ApiError):
    """403: a known user who may not."""

    status = 403
    code = 22


class NotFound(ApiError):
    """404: there is no such object, or none that this user may know of."""

    status = 404
    code = 4


class RequestTimeout(ApiError):
    """408: the client has sent a part of a request's body, and then nothing for too long."""

    status = 408


class Conflict(ApiError):
    """409: the name or path is taken, or the object is in use."""

    status = 409
    code = 26


class TooLarge(ApiError):
    """413: more than a documented limit."""

    status = 413


class Locked(ApiError):
    """423: content that its publisher has closed to everyone (the status: inferred)."""

    status = 423


class NotImplementedHere(ApiError):
    """501: Connect has it and this server does not; the text names it."""

    status = 501


class BadGateway(ApiError):
    """502: another server, which has to be asked for this, gives no answer that is of use."""

    status = 502


class NotDeployed(ApiError):
    """500: the newest deployment of watched content failed; `log` is what was said of it."""

    status = 500

    def __init__(self, name: str, log: str) -> None:
        super().__init__(f"{name} was not deployed")
        self.log = log

"""What aiohttp's server reports, and which of it is a fault of this server's."""

import logging

import pytest
from aiohttp.http_exceptions import BadStatusLine

from local_connect.gateway.connections import is_fault

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (None, True),
        (ValueError("ours"), True),
        (ConnectionResetError("gone"), False),
        (BadStatusLine("no HTTP"), False),
    ],
    ids=["in words", "an error", "a client that is gone", "no HTTP"],
)
def test_a_client_that_is_gone_or_speaks_no_http_is_no_fault(
    error: Exception | None, found: bool
) -> None:
    exc_info = (type(error), error, None) if error else None
    record = logging.LogRecord("aiohttp.server", logging.ERROR, "", 0, "", None, exc_info)
    assert is_fault(record) is found

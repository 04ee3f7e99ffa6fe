"""The address that a server is told to go by."""

import pytest
from aiohttp.test_utils import make_mocked_request

from local_connect.access.addresses import Addresses
from local_connect.errors import LocalConnectError

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("url", ["https://connect.test", "http://connect.test:8080"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_an_external_address(url: str, slash: str) -> None:
    addresses = Addresses("localhost", url + slash)
    # whatever a client calls the server
    request = make_mocked_request("GET", "/", headers={"Host": "other.test"})
    assert addresses.base_url(request) == url


@pytest.mark.parametrize(
    "url",
    [
        *("connect.test", "/connect", "ftp://connect.test", "https://", "https:///x"),
        *("https://connect.test:port", "https://connect.test:99999", "https://[::1"),
        *("https://connect.test/path", "https://connect.test?a=b", "https://connect.test#a"),
        *("https://user@connect.test", "https://user:secret@connect.test"),
    ],
)
def test_what_is_no_external_address(url: str) -> None:
    with pytest.raises(LocalConnectError, match=r"is not the address of a server, such as http"):
        Addresses("localhost", url)

"""What the specification says comes of each request; the contract holds the rest of it."""

from tests.targets import Content


def test_it_says_what_comes_of_each_request(live: Content) -> None:
    spec = live.get(str(live.example.spec)).json()
    found = {
        (method, path): set(operation["responses"])
        for path, operations in spec["paths"].items()
        for method, operation in operations.items()
    }
    assert found == {
        ("get", "/animal/{genus}"): {"200", "422", "503"},
        ("get", "/animal/{genus}/{species}"): {"200", "404", "422", "503"},
        ("post", "/animal"): {"201", "400", "413", "415", "422", "503"},
        ("get", "/plant/{genus}"): {"200", "422", "503"},
    }

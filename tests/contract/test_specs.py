"""The specifications are valid, and true."""

from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV2SpecValidator, validate

from tests.catalogue import Example
from tests.targets import Content
from tests.targets.process import Process

pytestmark = pytest.mark.needs("spec", "list", "item")

Json = dict[str, Any]


def spec_of(content: Content) -> Json:
    assert content.example.spec is not None
    response = content.get(content.example.spec)
    assert response.status_code == 200
    spec: Json = response.json()
    return spec


def resolve(spec: Json, schema: Json) -> Json:
    while "$ref" in schema:
        kind, name = schema["$ref"].removeprefix("#/").split("/")
        schema = spec[kind][name]
    return schema


def schema_of(spec: Json, path: str, status: str) -> Json:
    return resolve(spec, spec["paths"][path]["get"]["responses"][status]["schema"])


def test_valid_swagger_2(content: Content) -> None:
    spec = spec_of(content)
    assert spec["swagger"] == "2.0"
    validate(spec, cls=OpenAPIV2SpecValidator)


def test_paths_are_those_of_the_catalogue(content: Content) -> None:
    spec = spec_of(content)
    assert set(spec["paths"]) == {f"/{content.example.list}", f"/{content.example.item}"}
    for path in spec["paths"].values():
        assert set(path) - {"parameters"} == {"get"}, "read-only"


def test_schemas(content: Content) -> None:
    spec = spec_of(content)
    items = f"/{content.example.list}"
    item = f"/{content.example.item}"

    greetings = schema_of(spec, items, "200")
    assert greetings["type"] == "array"
    for schema in (resolve(spec, greetings["items"]), schema_of(spec, item, "200")):
        assert schema["type"] == "object"
        assert set(schema["required"]) == {"lang", "text"}
        assert {name: p["type"] for name, p in schema["properties"].items()} == {
            "lang": "string",
            "text": "string",
        }
    message = schema_of(spec, item, "404")
    assert message["type"] == "object"
    assert message["required"] == ["message"]
    assert message["properties"]["message"]["type"] == "string"


def test_says_json(content: Content) -> None:
    spec = spec_of(content)
    for path in spec["paths"].values():
        assert path["get"].get("produces", spec.get("produces")) == ["application/json"]


def test_mounted_where_it_is(content: Content) -> None:
    spec = spec_of(content)
    url = httpx.URL(content.url)
    assert spec["basePath"] == url.path.rstrip("/")
    # without them a client uses those that it fetched the specification with
    assert spec.get("host", url.netloc.decode()) == url.netloc.decode()
    assert spec.get("schemes", [url.scheme]) == [url.scheme]


def test_try_it_out(content: Content) -> None:
    spec = spec_of(content)
    url = httpx.URL(content.url)
    for path in spec["paths"]:
        for lang, status in (("en", 200), ("xx", 404)):
            if status == 404 and "{lang}" not in path:
                continue
            address = str(url.join(spec["basePath"] + path.format(lang=lang)))
            assert address.startswith(content.url)
            response = content.get(address.removeprefix(content.url))
            assert response.status_code == status
            assert str(status) in spec["paths"][path]["get"]["responses"]
            response.json()


def test_one_process_with_several_addresses(process: Process, example: Example) -> None:
    mounts = ["/content/1", "/greetings", "/", "/my-api"]
    content = process.launch(example, mounts=[mount.rstrip("/") for mount in mounts])
    server = httpx.URL(content.url)
    try:
        for mount in (*mounts, mounts[0]):
            address = server.join(f"{mount.rstrip('/')}/{example.spec}")
            response = content.client.get(address)
            assert response.status_code == 200
            assert response.json()["basePath"] == mount
            assert set(response.json()["paths"]) == {f"/{example.list}", f"/{example.item}"}
    finally:
        content.close()

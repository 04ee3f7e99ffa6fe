"""The specifications are valid, and true."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from tests.catalogue import Example
from tests.targets import ALICE, Content
from tests.targets.process import Process

pytestmark = pytest.mark.needs("spec", "operations")

Json = dict[str, Any]

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
)

# by default it asks only for the languages that it has seen in the list, in each of its phases
UNKNOWN_LANGUAGES_TOO = """
[phases.fuzzing.extra-data-sources]
responses = false
"""


def spec_of(content: Content) -> Json:
    assert content.example.spec is not None
    response = content.get(content.example.spec)
    assert response.status_code == 200
    spec: Json = response.json()
    return spec


def resolve(spec: Json, schema: Json) -> Json:
    while "$ref" in schema:
        reference = schema["$ref"].removeprefix("#/")
        schema = spec
        for part in reference.split("/"):
            schema = schema[part]
    return schema


def media_types(spec: Json, operation: Json, response: Json) -> list[str] | None:
    """In which forms an answer comes; OpenAPI 3 says it for each answer."""
    if "openapi" in spec:
        return list(response["content"])
    types: list[str] | None = operation.get("produces", spec.get("produces"))
    return types


def schema_of(spec: Json, path: str, status: str) -> Json:
    response = spec["paths"][path]["get"]["responses"][status]
    if "openapi" in spec:
        response = response["content"]["application/json"]
    return resolve(spec, response["schema"])


def base_of(spec: Json, url: httpx.URL) -> str:
    """What a client that fetched the specification from `url` puts in front of its paths."""
    if "openapi" in spec:
        assert len(spec["servers"]) == 1
        base = url.join(spec["servers"][0]["url"])
    else:
        base = url.copy_with(path=spec["basePath"])
        base = base.copy_with(
            netloc=spec.get("host", base.netloc.decode()).encode(),
            scheme=spec.get("schemes", [base.scheme])[0],
        )
    return str(base).rstrip("/")


def test_valid_openapi(content: Content) -> None:
    spec = spec_of(content)
    assert spec.get("swagger", spec.get("openapi")) == content.example.spec_version
    validate(spec)


def operations(spec: Json) -> dict[str, Json]:
    """Every operation, as `GET greetings/`."""
    return {
        f"{method.upper()} {path.removeprefix('/')}": operation
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }


def test_paths_are_those_of_the_catalogue(content: Content) -> None:
    assert frozenset(operations(spec_of(content))) == content.example.operations


@pytest.mark.needs("list", "item")
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


def test_every_answer_is_described_as_json(content: Content) -> None:
    spec = spec_of(content)
    for operation in operations(spec).values():
        for response in operation["responses"].values():
            assert media_types(spec, operation, response) == ["application/json"]


def test_addresses_are_below_the_mount(content: Content) -> None:
    url = httpx.URL(content.url)
    assert base_of(spec_of(content), url.join(str(content.example.spec))) == str(url).rstrip("/")


@pytest.mark.needs("list", "item")
def test_try_it_out(content: Content) -> None:
    spec = spec_of(content)
    base = base_of(spec, httpx.URL(content.url).join(str(content.example.spec)))
    for path, methods in spec["paths"].items():
        # what is not a greeting has tests of its own
        if {f"{method.upper()} {path[1:]}" for method in methods} & set(content.example.other):
            continue
        for lang, status in (("en", 200), ("xx", 404)):
            if status == 404 and "{lang}" not in path:
                continue
            address = base + path.format(lang=lang)
            assert address.startswith(content.url)
            response = content.get(address.removeprefix(content.url))
            assert response.status_code == status
            assert str(status) in spec["paths"][path]["get"]["responses"]
            response.json()


@pytest.mark.only_target("local-connect")
@pytest.mark.one_viewer
def test_schemathesis_finds_nothing(content: Content, tmp_path: Path) -> None:
    """What the specification admits, and what it does not, is answered as it says."""
    (tmp_path / "schemathesis.toml").write_text(UNKNOWN_LANGUAGES_TOO, "utf-8")
    headers = (f"{name.decode()}: {value.decode()}" for name, value in content.identify(ALICE))
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "run", f"{content.url}{content.example.spec}"),
            # it takes an address that is relative to the specification for one of the host
            *("--url", content.url, "--header", *headers),
            *("--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS)),
            *("--max-examples", "20", "--generation-deterministic", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {len(content.example.operations or ())}" in done.stdout


def test_one_process_with_several_addresses(process: Process, example: Example) -> None:
    mounts = ["", "/content/1", "/greetings", "/my-api"]
    content = process.launch(example, mounts=mounts)
    server = httpx.URL(content.url)
    try:
        for mount in (*mounts, mounts[1]):
            url = server.join(f"{mount}/{example.spec}")
            response = content.client.get(url)
            assert response.status_code == 200
            assert base_of(response.json(), url) == str(server.join(mount)).rstrip("/")
            assert frozenset(operations(response.json())) == example.operations
    finally:
        content.close()

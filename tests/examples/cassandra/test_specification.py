"""What the specification says is what the example does."""

import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from tests.contract.test_specs import CHECKS, SCHEMATHESIS, base_of
from tests.deployed import Content as Deployed
from tests.targets import Content


@pytest.fixture
def spec(live: Content) -> dict[str, Any]:
    found: dict[str, Any] = live.get(str(live.example.spec)).json()
    return found


def test_it_is_valid_and_says_where_the_api_is(live: Content, spec: dict[str, Any]) -> None:
    validate(spec)
    assert spec["openapi"] == live.example.spec_version
    url = httpx.URL(live.url)
    assert base_of(spec, url.join(str(live.example.spec))) == str(url).rstrip("/")


def test_it_has_every_path_and_what_comes_of_it(spec: dict[str, Any]) -> None:
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


def test_schemathesis_finds_nothing(deployed: Deployed, tmp_path: Path) -> None:
    url = f"{deployed.server.url}{deployed.path}"
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "run", f"{url}openapi.json"),
            # it takes an address that is relative to the specification for one of the host
            *("--url", url, "--phases", "examples,coverage,fuzzing"),
            *("--checks", ",".join((*CHECKS, "positive_data_acceptance"))),
            *("--max-examples", "10", "--generation-deterministic", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tested: 4" in done.stdout

"""What is written about the project, held against the project."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.catalogue import EXAMPLES, ROOT, api_routes
from tests.project.conftest import Checkout
from tests.servers import LOCAL_CONNECT
from tests.targets.environments import environment

OPTIONS = (ROOT / "docs" / "local-connect.md").read_text("utf-8")
ROUTES = (ROOT / "docs" / "connect-api.md").read_text("utf-8")

#: lines that a reader sees at once
SCREEN = 50


def test_readme_has_the_table_of_the_catalogue(checkout: Checkout) -> None:
    before = (ROOT / "README.md").read_text("utf-8")
    assert checkout.run("make", "sync").returncode == 0
    assert (checkout.directory / "README.md").read_text("utf-8") == before
    for example in EXAMPLES:
        assert f"[{example.directory}]({example.directory}/)" in before


def test_readme_says_what_an_example_installs(pytestconfig: pytest.Config) -> None:
    cache = Path(pytestconfig.cache.mkdir("environments"))
    for example in EXAMPLES:
        python = environment(example.path / "requirements.txt", cache)
        installed = list(python.parent.parent.glob("lib/*/site-packages/*.dist-info"))
        # a release of any of them may bring one or drop one
        assert abs(len(installed) - example.packages) <= 2, example.directory


@pytest.mark.quick
def test_links_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*-example/README.md")]:
        for link in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
            if "://" in link:
                continue
            name, _, section = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), f"{page.name}: {link}"
            assert not section or section in sections(target), f"{page.name}: {link}"


def sections(page: Path) -> set[str]:
    """What links to the page's headings end with."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.quick
def test_every_page_is_linked_from_another() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    linked = {
        (page.parent / link).resolve()
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8"))
        if "://" not in link
    }
    assert set(pages) - {ROOT / "README.md"} <= linked


@pytest.mark.quick
def test_each_reader_finds_a_page_and_its_first_command_within_a_screen() -> None:
    seen = "\n".join((ROOT / "README.md").read_text("utf-8").splitlines()[:SCREEN])
    rows = re.findall(r"^\| .+ \| `.+` \| \[.+\]\((docs/.+)\) \|$", seen, re.MULTILINE)
    assert len(rows) == 3
    for page in rows:
        first = "\n".join((ROOT / page).read_text("utf-8").splitlines()[:SCREEN])
        assert re.search(r"^    \S", first, re.MULTILINE), (
            f"{page} has no command on its first screen"
        )


def test_help_and_manual_have_every_option_with_its_default_and_its_twin() -> None:
    shown = subprocess.run(
        [LOCAL_CONNECT, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200"},
    ).stdout
    options = re.findall(r"^  --([a-z-]+)(.*(?:\n   +.*)*)", shown, re.MULTILINE)
    assert len(options) > 8
    for option, rest in options:
        if option in ("help", "version"):
            continue
        says = re.sub(r"\s+", " ", rest)
        assert f"env var: LOCAL_CONNECT_{option.upper().replace('-', '_')}" in says, option
        row = re.search(rf"^\| `--{option}` \|(.*?)\|", OPTIONS, re.MULTILINE)
        assert row, f"--{option} is not in the manual"
        default = re.search(r"default: ([^;\]]+)", says)
        assert row[1].strip(" `") == (default[1] if default else ""), option


@pytest.mark.quick
def test_manual_has_every_route_and_no_other() -> None:
    """Each row has paths, and methods: the same for all of them, or theirs between semicolons."""
    table = ROUTES.partition("| below `/__api__/` |")[2].partition("\n\n")[0]
    told = set()
    for row in re.findall(r"^\| (`.+`) \| (.+) \|$", table, re.MULTILINE):
        paths = [path.replace("…", "v1/content/{guid}") for path in re.findall(r"`(.+?)`", row[0])]
        methods = [
            re.findall(r"\b(?:GET|POST|PUT|PATCH|DELETE)\b", part)
            for part in re.sub(r"\(.*?\)", "", row[1]).split(";")
        ]
        if len(methods) == 1:
            methods *= len(paths)
        for path, own in zip(paths, methods, strict=True):
            told |= {(method, f"/__api__/{path}") for method in own}
    assert told == set(api_routes())

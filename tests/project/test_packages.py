"""The command that installs a program, on machines of each kind."""

from pathlib import Path

import pytest

from scripts.packages import installed_by

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (["apt-get"], "sudo apt-get install openjdk-17-jre-headless"),
        (["brew"], "brew install openjdk@17"),
        ([], "install openjdk-17-jre-headless"),
    ],
)
def test_as_the_machine_installs_it(
    there: list[str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program in there:
        (tmp_path / program).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installed_by(apt="openjdk-17-jre-headless", brew="openjdk@17") == says

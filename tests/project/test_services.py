"""A service that nothing starts, and a module of one that lacks something."""

from pathlib import Path

import pytest

from scripts import services

pytestmark = pytest.mark.quick


def test_a_service_that_has_no_module() -> None:
    why = "There is no scripts/services/abacus.py, so nothing starts it."
    assert services.missing("abacus") == why
    with pytest.raises(services.Unavailable, match=why):
        services.given("abacus")


def test_a_module_that_lacks_another_says_which(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "abacus.py").write_text("import no_such_beads\n", "utf-8")
    monkeypatch.setattr(services, "__path__", [str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="no_such_beads"):
        services.missing("abacus")

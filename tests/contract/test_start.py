"""How an example starts, and what stops it from starting."""

import json
from pathlib import Path

import pytest

from tests.catalogue import ROOT, Example
from tests.targets.process import DidNotStartError, Process

GREETINGS = ROOT / "shared" / "greetings.json"
C_LOCALE = {
    "LANG": "C",
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": "ascii",
}
DAMAGES = {
    "missing": None,
    "empty": b"",
    "cut off": GREETINGS.read_bytes()[:40],
    "not UTF-8": '{"es": "Adiós"}'.encode("latin-1"),
}
#: what a loop would take without a word
SHAPES = [[], "Hello"]


@pytest.mark.needs("list")
def test_greetings_are_the_shared_ones(example: Example) -> None:
    copy = example.path / GREETINGS.name
    assert not copy.is_symlink()
    assert copy.read_bytes() == GREETINGS.read_bytes()


@pytest.mark.only_target("process")
def test_start_in_another_locale_and_directory(
    process: Process, example: Example, tmp_path: Path
) -> None:
    content = process.launch(example, cwd=tmp_path, env=C_LOCALE)
    try:
        for path in example.paths:
            assert content.get(path).status_code == 200
        if example.list is not None:
            texts = json.loads(GREETINGS.read_text(encoding="utf-8"))
            answer = content.get(example.list).json()
            assert {item["lang"]: item["text"] for item in answer} == texts
    finally:
        content.close()


@pytest.mark.needs("list")
@pytest.mark.only_target("process")
def test_the_list_is_sorted_where_the_file_is_not(process: Process, example: Example) -> None:
    assert example.list is not None
    directory = process.copy(example)
    texts = {"zu": "Sawubona", "en": "Hi", "af": "Hallo", "pt-BR": "Olá", "pt": "Olá!"}
    (directory / GREETINGS.name).write_text(json.dumps(texts), encoding="utf-8")
    content = process.launch(example, directory=directory)
    try:
        answer = content.get(example.list).json()
    finally:
        content.close()
    assert answer == [{"lang": lang, "text": texts[lang]} for lang in sorted(texts)]


@pytest.mark.needs("list")
@pytest.mark.only_target("process")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_greetings_stop_the_start(
    process: Process, example: Example, damage: bytes | None
) -> None:
    directory = process.copy(example)
    file = directory / GREETINGS.name
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    error = start_fails(process, example, directory)
    assert GREETINGS.name in error.output


@pytest.mark.needs("list")
@pytest.mark.only_target("process")
@pytest.mark.parametrize("value", SHAPES, ids=repr)
def test_greetings_of_another_shape_stop_the_start(
    process: Process, example: Example, value: object
) -> None:
    directory = process.copy(example)
    (directory / GREETINGS.name).write_text(json.dumps(value), encoding="utf-8")
    start_fails(process, example, directory)


def start_fails(process: Process, example: Example, directory: Path) -> DidNotStartError:
    with pytest.raises(DidNotStartError) as error:
        process.launch(example, directory=directory).close()
    assert error.value.status not in (None, 0)
    return error.value

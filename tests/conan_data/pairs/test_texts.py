import numpy as np
import pytest

from conan_data.pairs import texts as module
from conan_data.pairs.texts import TextTable, text_hashes


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_equal_texts_are_one_row_in_the_order_they_came(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in rng.integers(0, 40, size=200)]
    groups = [("", f"g{word}")[number % 5 == 4] for number, word in enumerate(words)]
    table = TextTable()
    for number, (word, group) in enumerate(zip(words, groups)):
        table.add(word, f"l{number}", group)
    found, rows = table.finish()
    distinct = list(dict.fromkeys(words))
    assert found.column("text").to_pylist() == distinct
    assert [distinct[row] for row in rows] == words
    assert found.column("lang").to_pylist() == [f"l{words.index(word)}" for word in distinct]
    named = {word: group for word, group in reversed(list(zip(words, groups))) if group}
    assert found.column("group").to_pylist() == [named.get(word, "") for word in distinct]
    assert len(set(found.column("_id").to_pylist())) == len(distinct)


def test_ids_are_of_the_text_alone() -> None:
    first, second = TextTable(), TextTable()
    for word in "abc":
        first.add(word, "en")
    for word in "cd":
        second.add(word, "de")
    (one, _), (two, _) = first.finish(), second.finish()
    assert one.column("_id")[2] == two.column("_id")[0]
    assert one.column("_id")[0].as_py() == f"{int(text_hashes(['a'])[0]):016x}"


def test_nothing() -> None:
    table, rows = TextTable().finish()
    assert table.num_rows == 0 and table.column_names == ["_id", "text", "lang", "group"] and len(rows) == 0

import json
from pathlib import Path

import numpy as np
import pytest

from conan_data.errors import UserError
from conan_data.pairs.scored import read_scored

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data" / "sts"


def triples(pairs) -> list[tuple[str, str, float]]:
    texts = pairs.texts.column("text").to_pylist()
    return [
        (texts[a], texts[b], score) for a, b, score in zip(pairs.first, pairs.second, pairs.scores.tolist())
    ]


def test_csv_without_a_header_even_if_its_first_texts_are_equal(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('same,same,5.0\n"b, c",same,2.5\nx,y,n/a\nx,,1\nx,y\n')
    pairs = read_scored([str(path)])
    assert triples(pairs) == [("same", "same", 5.0), ("b, c", "same", 2.5)]
    assert pairs.dropped == {"score-not-a-number": 1, "no-text": 1, "wrong-number-of-fields": 1}
    assert pairs.num_read == 5 and pairs.rows().kept == 2 and pairs.texts.num_rows == 2


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        ("sentence1,sentence2,score", {}),
        ("text1,text2,label", {}),
        ("5,x,7", {"first_field": "5", "second_field": "x", "score_field": "7"}),
    ],
)
def test_csv_with_a_header(tmp_path: Path, header: str, asked: dict[str, str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\na,b,1\n")
    assert triples(read_scored([str(path)], **asked)) == [("a", "b", 1.0)]


def test_places_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("id1\t0.5\ta\tb\nid2\t1\tc\td\n")
    pairs = read_scored([str(path)], first_field="2", second_field="3", score_field="1")
    assert triples(pairs) == [("a", "b", 0.5), ("c", "d", 1.0)]


def test_unknown_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"s": "a", "t": "b", "v": 1}) + "\n")
    with pytest.raises(UserError, match=r"a.jsonl: its fields are s, t, v; name those"):
        read_scored([str(path)])
    with pytest.raises(UserError, match="name all of first_field"):
        read_scored([str(path)], first_field="s")


def test_scores_of_each_file_on_their_own_scale(tmp_path: Path) -> None:
    for name, rows in {"a": "a,b,1\na,c,3\na,d,5\n", "b": "a,b,0\nx,y,1\n", "c": "a,b,2\n"}.items():
        (tmp_path / f"{name}.csv").write_text(rows)
    pairs = read_scored([str(tmp_path)])
    assert pairs.sources == ("a", "b", "c") and pairs.pair_sources.tolist() == [0, 0, 0, 1, 1, 2]
    assert pairs.unit_scores().tolist() == [0, 0.5, 1, 0, 1, 1]


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_real_files() -> None:
    pairs = read_scored([str(SHARED / "stsb-*-train.csv.gz")])
    assert pairs.num_pairs == 11 * 5749 == pairs.num_read and len(pairs.sources) == 11
    assert pairs.scores.min() == 0 and pairs.scores.max() == 5
    assert np.allclose(pairs.unit_scores() * 5, pairs.scores, atol=1e-6)
    assert triples(pairs)[0][:2] == ("Ein Flugzeug hebt gerade ab.",) * 2


def test_tsv_without_a_header_whose_quotes_are_characters(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('"I am\tfine" he said\t5.000\n"so"\tand "so"\t 2.5 \nx\ty\t1e400\nx\ty\t4,5\nx\ty\tinf\n')
    pairs = read_scored([str(path)])
    assert triples(pairs) == [('"I am', 'fine" he said', 5.0), ('"so"', 'and "so"', 2.5)]
    assert pairs.dropped == {"score-not-a-number": 3}
    assert pairs.account.to_json()["files"][str(path)] == {
        "read": 5, "refused": {"score-not-a-number": 3}, "notes": {"scores": [2.5, 5.0]},
    }  # fmt: skip


def test_scores_of_any_type_and_range(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        {"sentence1": f"a{n}", "sentence2": "b", "score": score, "genre": "x"}
        for n, score in enumerate([True, "false", 0.25, "0.5", None, "x", [1], 1e39, -3.4e38, 3.4e38])
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = read_scored([str(path)])
    assert pairs.scores.tolist()[:4] == [1, 0, 0.25, 0.5] and pairs.dropped == {"score-not-a-number": 4}
    assert pairs.unit_scores().tolist() == [0.5, 0.5, 0.5, 0.5, 0, 1]
    assert pairs.account.to_json()["files"][str(path)]["unused_columns"] == {"genre": 6}
    (tmp_path / "b.csv").write_text("sentence_A,sentence_B,relatedness_score\na,b,3\na,c,3\n")
    read_scored([str(tmp_path / "b.csv")])
    assert f"{tmp_path / 'b.csv'}: all scores are 3: no pair is more alike than another" in caplog.messages

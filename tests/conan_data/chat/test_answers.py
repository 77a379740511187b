from concurrent.futures import ThreadPoolExecutor

from conan_data.chat.answers import Answers, key_of


def test_key_depends_on_every_part_and_on_where_it_stands():
    keys = {
        key_of(*asked)
        for asked in (
            ("m", "p", "t", "l"),
            ("m2", "p", "t", "l"),
            ("m", "p", "tl", ""),
            ("m", "p", "", "tl"),
            ("mp", "", "t", "l"),
        )
    }
    assert len(keys) == 5


def test_survives_a_torn_last_line(tmp_path):
    path = tmp_path / "answers.jsonl"
    assert not path.exists()
    answers = Answers(path)
    for number in range(3):
        answers.put(f"k{number}", f"Straße {number}\n")
    answers.put("bad", "", "answer-empty")
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines(keepends=True)[-1]) + 1):
        path.write_bytes(whole[:-cut])
        again = Answers(path)
        assert len(again) == 3
        assert again.get("bad") is None
        again.put("new", "neu")
        assert {key: Answers(path).get(key) for key in ("k2", "new")} == {
            "k2": ("Straße 2\n", ""),
            "new": ("neu", ""),
        }
        assert len(Answers(path)) == 4


def test_many_threads(tmp_path):
    answers = Answers(tmp_path / "answers.jsonl")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: answers.put(str(number), "x" * number), range(300)))
    again = Answers(tmp_path / "answers.jsonl")
    assert all(again.get(str(number)) == ("x" * number, "") for number in range(300))

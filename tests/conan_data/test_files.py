from pathlib import Path

import pytest

from conan_data.files import hash_file, write_durably, written_aside


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with written_aside(path) as aside:
        aside.write_text("whole")
        assert not path.exists()
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]
    assert path.read_text() == "whole"


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_durably(path, b"old")
    with pytest.raises(OSError, match="full"), written_aside(path) as aside:
        aside.write_text("half")
        raise OSError("full")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_bytes() == b"old"


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

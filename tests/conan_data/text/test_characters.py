import pytest

from conan_data.text.characters import characters


@pytest.mark.parametrize(
    ("text", "units", "unspaced"),
    [
        ("one two, three-four!", 4, False),
        ("Привет, мир", 2, False),
        ("مرحبا بالعالم", 2, False),
        ("हिन्दी में", 2, False),
        ("안녕 세계", 2, False),
        ("中文没有空格", 6, True),
        ("日本語のテキスト", 8, True),
        ("用 Python 写代码", 5, True),
        ("The word 中文 means Chinese here", 7, False),
        ("!? --", 0, False),
    ],
)
def test_units_follow_the_script(text: str, units: int, unspaced: bool) -> None:
    found = characters(text)
    assert found.num_units == units
    assert found.unspaced == unspaced


def test_thai_is_cut_into_letters() -> None:
    assert characters("ภาษาไทย").num_units == 7


def test_cjk_and_hangul_weigh_three_letters() -> None:
    assert characters("abc é1 .").letters.sum() == 4
    assert characters("日ほカ한").letters.sum() == 12


def test_characters_beyond_the_basic_plane_are_one_place() -> None:
    assert len(characters("a😀𠀀").codes) == 3
    assert characters("𠀀𠀁").unspaced

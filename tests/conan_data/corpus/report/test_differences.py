from conan_data.corpus.report.differences import differences


def marked(runs):
    return [text for text, differs in runs if differs]


def test_what_the_other_text_lacks_is_marked():
    left, right = differences("the old cat sleeps\nhere.", "the cat sleeps over\nhere.")
    assert "".join(text for text, _ in left) == "the old cat sleeps\nhere."
    assert "".join(text for text, _ in right) == "the cat sleeps over\nhere."
    assert "".join(marked(left)).strip() == "old" and "".join(marked(right)).strip() == "over"


def test_scripts_without_spaces_are_compared_by_character():
    left, right = differences("今天我们去公园", "今天他们去公园")
    assert (marked(left), marked(right)) == (["我"], ["他"])


def test_equal_texts_have_no_marks():
    assert differences("same text", "same text") == ([("same text", False)], [("same text", False)])

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conan_data.text.code import fence, without_code


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("No code here.", "No code here."),
        ("Before.\n\n```\nx = 1\n```\n\nAfter.", "Before.\n\nAfter."),
        ("Before.\n```python\nx = 1\n```\nAfter.", "Before.\n\nAfter."),
        ("Before.\n~~~~\n```\n~~~\n~~~~\nAfter.", "Before.\n\nAfter."),
        ("- item\n  ```sh\n  ls\n  ```\nAfter.", "- item\n\nAfter."),
        ("- ```sh\n  ls\n  ```\nAfter.", "After."),
        ("````\n```\nx\n```\n````", ""),
        # What is never closed, and what stands in a line, is text.
        ("Before.\n```\nx = 1\nAfter.", "Before.\n```\nx = 1\nAfter."),
        ("Write ``` for code.\nWrite ```x``` so.", "Write ``` for code.\nWrite ```x``` so."),
        ("```x``` is code.\n\nAnd ```y```.", "```x``` is code.\n\nAnd ```y```."),
    ],
)
def test_blocks_go(text: str, prose: str) -> None:
    assert without_code(text) == prose


@given(st.text(alphabet="`~ab \n", max_size=40))
def test_a_block_is_one_whatever_is_in_it(code: str) -> None:
    assert without_code(f"Before.\n{fence(code)}\nAfter.") == "Before.\n\nAfter."

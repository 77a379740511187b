from dataclasses import dataclass, field

import pytest

from conan_data.xlr.masking import MaskedTranslator, mask, unmask
from conan_data.xlr.translators import Failure, Request, Translation

TEXT = 'Run `cargo init`, see https://x.org/a. Use {x}, <y> or %s for 5% of "Storage Sense" and "a word".'


@pytest.mark.parametrize(
    ("text", "masked", "kept"),
    [
        (
            TEXT,
            'Run XQ0Z, see XQ1Z. Use XQ2Z, XQ3Z or XQ4Z for 5% of XQ5Z and "a word".',
            ["`cargo init`", "https://x.org/a", "{x}", "<y>", "%s", '"Storage Sense"'],
        ),
        ("It's the user's choice, isn't it?", "It's the user's choice, isn't it?", []),
        ("A text with XQ0Z and `code`.", "A text with XQ0Z and `code`.", []),
        ("``a ` b`` and `{x}`", "XQ0Z and XQ1Z", ["``a ` b``", "`{x}`"]),
    ],
)
def test_mask(text, masked, kept):
    assert mask(text) == (masked, kept)
    assert unmask(masked, kept) == text or not kept


def test_marks_may_move_but_must_be_there_once():
    assert unmask("xq1z vor XQ0Z", ["`a`", "`b`"]) == "`b` vor `a`"
    for text in ("XQ0Z", "XQ0Z XQ1Z XQ1Z", "XQ0Z XQ2Z", "XQ0Z XQ1Z XQ2Z"):
        assert unmask(text, ["`a`", "`b`"]) is None


@dataclass
class Fake:
    """Adds an exclamation mark; `spoils` says in which texts it loses a mark, `fails` which it cannot translate."""

    name: str = "a fake"
    retries: bool = False
    broken: tuple = ()
    spoils: str = "spoil"
    fails: str = "fail"
    asked: list[str] = field(default_factory=list)

    def available(self, query_id):
        return frozenset({"de"})

    def used(self):
        return {"requests": len(self.asked)}

    spent = used

    def translate(self, requests):
        for request in requests:
            self.asked.append(request.text)
            if self.fails in request.text:
                yield Failure("broken")
            elif self.spoils in request.text:
                yield Translation(request.text.replace("XQ0Z", "Xq") + "!", "fake")
            else:
                yield Translation(request.text + "!", "fake")


def test_answers_in_order_and_lost_marks_asked_again_as_they_are():
    fake = Fake()
    texts = ["`a` b", "no code", "spoil `c`", "fail `d`", "`e` XQ7Z", "spoil no code"]
    requests = [Request(str(place), text, "de") for place, text in enumerate(texts)]
    masked = MaskedTranslator(fake)
    assert (masked.name, masked.available("x")) == ("a fake", {"de"})
    assert list(masked.translate(iter(requests))) == [
        Translation("`a` b!", "fake"),
        Translation("no code!", "fake"),
        Translation("spoil `c`!", "fake"),
        Failure("broken"),
        Translation("`e` XQ7Z!", "fake"),
        Translation("spoil no code!", "fake"),
    ]
    assert fake.asked == [
        "XQ0Z b", "no code", "spoil XQ0Z", "fail XQ0Z", "`e` XQ7Z", "spoil no code", "spoil `c`",
    ]  # fmt: skip

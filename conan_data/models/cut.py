"""Cut a long text before it is tokenised, so that the tokens that are kept are those of the whole text.

A model reads its first few hundred or thousand tokens; a text of 50 MB, tokenised whole, takes a minute and
gigabytes. No fixed number of characters is safe: a normalizer may drop a million spaces or accents, and one
token may be a word of any length. So a start of the text is tokenised, and it is only enough when it has the
wanted number of tokens that what follows cannot change; otherwise four times as much is tried, up to the
whole text or `MOST` characters. Which tokens cannot change:

- Those before the last two words. A tokenizer that splits text into words first, as all but a few do,
  tokenises each word by itself, and where a word ends depends on the next characters at most.
- In one word of any length (no spaces at all, or a tokenizer that makes one word of the whole text), for BPE
  and unigram models: those that are the same for each of the starts that end within the length of the longest
  token. Both models tokenise what lies before a boundary of the result as if nothing followed, and the result
  for the whole text has a boundary somewhere in that stretch. (Not looked at are boundaries of byte-level
  tokens inside of a character.)

`MOST` characters are enough in any case: what then is not final begins with two million spaces or with one
word of that length, and to read on would take a minute a text.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from transformers import BatchEncoding, PreTrainedTokenizerBase

WHOLE = 65_536
"""Characters of a text that is tokenised whole; the tokenizer is quick enough."""
MOST = 1 << 21
"""Characters that are tokenised of any text at most."""
_LEAST = 4096
_CHARACTERS_A_TOKEN = 8
_GROWTH = 4
_JOINED = ("BPE", "Unigram")
"""Models whose tokens before a boundary do not depend on what follows it."""


def cut_texts(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], num_tokens: int, *, prompt: str = ""
) -> list[str]:
    """Return `texts`, each cut to a start that has the same first `num_tokens` tokens after `prompt`.

    Texts of at most `WHOLE` characters are returned as they are. So are all where the tokenizer is not a fast
    one, which does not tell words apart, or keeps the end of a text and not its start.
    """
    if not tokenizer.is_fast or tokenizer.truncation_side != "right":
        return list(texts)

    def tokenise(text: str) -> BatchEncoding:
        return tokenizer(
            prompt + text, add_special_tokens=False, truncation=False, padding=False, verbose=False
        )

    return [
        text if len(text) <= WHOLE else text[: _start(text, num_tokens, tokenizer, tokenise)]
        for text in texts
    ]


def _start(
    text: str,
    num_tokens: int,
    tokenizer: PreTrainedTokenizerBase,
    tokenise: Callable[[str], BatchEncoding],
) -> int:
    """Return how many characters of `text` are enough."""
    size = max(min(WHOLE, _LEAST), _CHARACTERS_A_TOKEN * num_tokens)
    while size < min(len(text), MOST):
        encoding = tokenise(text[:size])
        words, head = encoding.word_ids(), encoding["input_ids"][:num_tokens]
        if _in_whole_words(words) >= num_tokens:
            return size
        # Not asked where the start has too few tokens, or lacks but a few of those of the last two words.
        is_one_word = len(head) == num_tokens and _in_whole_words(words) < len(words) // 2
        if is_one_word and _is_settled(text, size, head, tokenizer, tokenise):
            return size
        size *= _GROWTH
    return len(text) if size < MOST else max(MOST, _CHARACTERS_A_TOKEN * num_tokens)


def _in_whole_words(words: list[int | None]) -> int:
    """Return the number of tokens before the last two words."""
    last = next((word for word in reversed(words) if word is not None), 0)
    return next((place for place, word in enumerate(words) if word is not None and word >= last - 1), 0)


def _is_settled(
    text: str,
    size: int,
    head: list[int],
    tokenizer: PreTrainedTokenizerBase,
    tokenise: Callable[[str], BatchEncoding],
) -> bool:
    """Whether `head` begins the tokens of every start that ends within the longest token's length before `size`."""
    backend = tokenizer.backend_tokenizer
    if type(backend.model).__name__ not in _JOINED:
        return False
    first = size - _longest_token(tokenizer)
    return first > 0 and all(
        tokenise(text[:end])["input_ids"][: len(head)] == head for end in range(first, size)
    )


@lru_cache(maxsize=8)
def _longest_token(tokenizer: PreTrainedTokenizerBase) -> int:
    return max(map(len, tokenizer.get_vocab()), default=1)

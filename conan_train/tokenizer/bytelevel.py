r"""The tokenizer before training: normalisation, how a text is cut into words, bytes, and the end of every text.

The usual patterns were made for English: they end a word at a combining mark, so that words of Hindi, Thai or vocalised Arabic fall to
pieces, they take a run of Chinese with the Latin name in it for one word, and they cut "Türkiye'de" at the English contraction 'd. Here
a word is a run of letters and their marks with at most one character before it; a run of a script that is written without spaces ends
where another script begins; every digit stands alone. Bytes below make any text representable, without an unknown token.
What comes back is the text in composed form (NFC), so that a letter with its mark has one spelling; nothing else is changed.
"""

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from conan_train.tokenizer.specials import CHAT_TEMPLATE, EOS, PAD, SPECIALS

_UNSPACED = (
    "".join(
        rf"\p{{{script}}}"
        for script in ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan")
    )
    + "ー"
)
_LETTER = rf"[[\p{{L}}\p{{M}}]&&[^{_UNSPACED}]]"
_UNSPACED_LETTER = rf"[[\p{{L}}\p{{M}}]&&[{_UNSPACED}]]"

PATTERN = "|".join(
    [
        rf" ?{_UNSPACED_LETTER}+",
        rf"[^\r\n\p{{L}}\p{{M}}\p{{N}}]?{_LETTER}+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
"""In the syntax of Oniguruma. First a word with one space before it; a space that is left over comes out as
one of the last three.
"""


def untrained() -> Tokenizer:
    """A tokenizer without merges. After training, `finish` gives it the end of text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def finish(tokenizer: Tokenizer) -> Tokenizer:
    """Adds EOS after every text, by the tokenizer itself, so that every library that loads it does the same."""
    for place, token in enumerate(SPECIALS):
        assert tokenizer.token_to_id(token) == place, (
            f"{token} has id {tokenizer.token_to_id(token)}, not {place}"
        )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", pair=f"$A {EOS} $B:1 {EOS}:1", special_tokens=[(EOS, tokenizer.token_to_id(EOS))]
    )
    return tokenizer


def settings() -> dict[str, object]:
    """Content of `tokenizer_config.json`: a generic fast tokenizer, read from `tokenizer.json` as it is."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": EOS,
        "additional_special_tokens": [token for token in SPECIALS if token not in (PAD, EOS)],
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "chat_template": CHAT_TEMPLATE,
    }

"""Read which prompts a sentence-transformers model puts before queries and documents.

The rule is that of its `encode_query` and `encode_document`: the prompt `query`, and the first of `document`,
`passage` and `corpus` that the model names. A prompt that is named and empty is a prompt: nothing is put
before the text, and no other name is tried. `default_prompt_name` is for `encode` alone, which takes neither
side. (Release 6.2 adds an empty `document` to the prompts that it reads, and then never finds `passage`; here
the names that the model itself has decide.)
"""

from dataclasses import dataclass
from pathlib import Path

from conan_data.errors import UserError
from conan_data.models.files import read_settings

FILE = "config_sentence_transformers.json"
_QUERY, _DOCUMENT = ("query",), ("document", "passage", "corpus")


@dataclass(frozen=True)
class Prompts:
    """Put before every text of a kind, separator included; empty for none."""

    query: str = ""
    document: str = ""


def own_prompts(folder: Path) -> Prompts:
    """Return the prompts of the model in `folder`. Raises `UserError` where they are not texts by name."""
    named = read_settings(folder / FILE).get("prompts") or {}
    if not isinstance(named, dict) or not all(isinstance(prompt, str | None) for prompt in named.values()):
        raise UserError(f"{folder / FILE}: prompts must be texts by name, got {named!r}")
    query, document = (
        next((named[name] for name in names if named.get(name) is not None), "")
        for names in (_QUERY, _DOCUMENT)
    )
    return Prompts(query, document)

"""What a checkpoint promises about how texts become vectors, in `conan.json` beside the weights.

The same weights give other vectors under another alpha, prompt, pooling or truncation, and nothing in
config.json says which was trained. The file is required at load; what this version does not do (another
pooling, another padding side) is refused rather than approximated.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from conan_data.config import require
from conan_data.errors import UserError

FILE = "conan.json"
Pooling = Literal["mean", "last"]
MEAN: Pooling = "mean"
LAST: Pooling = "last"
_FIXED = {
    "format": "conan-checkpoint",
    "schema": 1,
    "normalize": True,
    "padding_side": "right",
    "eos": True,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodingContract:
    """How a text becomes tokens and a vector; unit length, right padding and the closing EOS are the same for all
    checkpoints.
    """

    max_length: int = 512
    """Tokens a text is cut to, its prompt and EOS included."""
    query_prompt: str = ""
    """Put before every query, separator included."""
    document_prompt: str = ""
    """Put before every document, separator included."""
    pooling: Pooling = MEAN
    """Which states the vector is the mean of: those of all tokens, prompt and EOS included, or of EOS alone."""

    def __post_init__(self) -> None:
        require(
            isinstance(self.max_length, int)
            and not isinstance(self.max_length, bool)
            and self.max_length >= 2,
            "max_length",
            self.max_length,
            "must be at least 2 (a token and EOS)",
        )
        require(self.pooling in (MEAN, LAST), "pooling", self.pooling, "must be mean or last")

    def prompt(self, kind: str) -> str:
        return {"query": self.query_prompt, "document": self.document_prompt}[kind]


def write_contract(folder: Path, contract: EncodingContract, alpha: float) -> None:
    """Writes the contract and the alpha that the weights were trained at to `conan.json` in `folder`."""
    prompts = {"query": contract.query_prompt, "document": contract.document_prompt}
    values = {
        **_FIXED,
        "pooling": contract.pooling,
        "alpha": alpha,
        "prompts": prompts,
        "max_length": contract.max_length,
    }
    (folder / FILE).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_contract(folder: Path) -> tuple[EncodingContract, float]:
    """The contract and alpha of a checkpoint. Raises `UserError` naming the file and field that is missing or
    not supported.
    """
    path = folder / FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{folder}: no {FILE}, so it is not an embedding checkpoint; a language model has to be started as one first"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from error
    for field, expected in _FIXED.items():
        if _field(values, field, path) != expected:
            raise UserError(f"{path}: {field} is {values[field]!r}, this version reads {expected!r} only")
    prompts, alpha = _field(values, "prompts", path), _field(values, "alpha", path)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha <= 1:
        raise UserError(f"{path}: alpha must be a number between 0 and 1, got {alpha!r}")
    for kind in ("query", "document"):
        if not isinstance(_field(prompts, kind, path), str):
            raise UserError(f"{path}: prompts.{kind} must be a text, got {prompts[kind]!r}")
    try:
        contract = EncodingContract(
            max_length=_field(values, "max_length", path),
            query_prompt=prompts["query"],
            document_prompt=prompts["document"],
            pooling=_field(values, "pooling", path),
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return contract, float(alpha)


def _field(values: Any, field: str, path: Path) -> Any:
    if not isinstance(values, dict) or field not in values:
        raise UserError(f"{path}: field {field!r} is missing")
    return values[field]

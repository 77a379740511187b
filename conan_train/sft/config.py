"""What instruction tuning is told."""

from dataclasses import dataclass

from conan_data.config import require, source
from conan_train.pretrain.config import LanguageModelConfig


@dataclass(frozen=True, kw_only=True)
class SftConfig(LanguageModelConfig):
    """Train a language model to answer: instruction and input are given, the loss is on the output only."""

    data: tuple[str, ...] = source(())
    """Files, folders or globs of rows with `instruction`, `input` (may be missing) and `output`."""
    pairs: tuple[str, ...] = source(())
    """Retrieval sets, or files of rows with a `query` and a `document`: the query is the input, the document
    the output.
    """
    split: str = "train"
    """Split of the retrieval sets."""
    instruction: str = "Write a passage that answers the query."
    """Instruction of pairs, and of rows that have none."""
    held_out: float = 0.01
    """Share of the examples, chosen by their hashes, that is kept for measuring and not trained on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.data) + len(self.pairs) > 0, "data", self.data, "name at least one file, or pairs")
        require(bool(self.instruction.strip()), "instruction", self.instruction, "must not be empty")
        require(0 < self.held_out < 0.5, "held_out", self.held_out, "must be over 0 and under 0.5")

"""What instruction tuning is told."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Lt

from conan_data.config import require
from conan_data.fields import FileName, Rule
from conan_data.inputs import DataPaths
from conan_train.pretrain.config import LanguageModelConfig

NOT_BLANK = Rule("must not be empty", lambda text: bool(text.strip()))


@dataclass(frozen=True, kw_only=True)
class SftConfig(LanguageModelConfig):
    """Train a language model to answer: instruction and input are given, the loss is on the output only."""

    data: DataPaths = ()
    """Files, folders or globs of rows with `instruction`, `input` (may be missing) and `output`, or of conversations:
    `messages` (role, content) or `conversations` (from, value); each may have a `system` text.
    """
    pairs: DataPaths = ()
    """Retrieval sets, or files of rows with a `query` and a `document`: the query is the input, the document
    the output.
    """
    split: FileName = "train"
    """Split of the retrieval sets."""
    instruction: Annotated[str, NOT_BLANK] = "Write a passage that answers the query."
    """Instruction of pairs, and of rows that have none."""
    held_out: Annotated[float, Gt(0), Lt(0.5)] = 0.01
    """Share of the examples, chosen by their hashes, that is kept for measuring and not trained on."""

    def check(self) -> None:
        super().check()
        require(len(self.data) + len(self.pairs) > 0, "data", self.data, "name at least one file, or pairs")

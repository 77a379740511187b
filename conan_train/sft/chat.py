"""Turn one example into tokens: the turns before, the turn of the user, and that of the assistant up to its end.

    <|im_start|>system LF text <|im_end|> LF <|im_start|>user LF prompt <|im_end|> LF <|im_start|>assistant LF output <|im_end|>

The prompt's tokens are those of the tokenizer's chat template with its generation prompt, which is what the
model will see when it is asked; the output is encoded by itself, as what it writes. A special token that is
spelled out in a text is text: an example cannot end a turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conan_data.errors import UserError
from conan_data.tokens.tokenizer import encode
from conan_train.sft.examples import Example
from conan_train.sft.turns import Turn
from conan_train.tokenizer.specials import END_OF_TURN, TURN

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Chat:
    """How turns are marked in one tokenizer."""

    tokenizer: "Tokenizer"
    turn: int
    end_of_turn: int
    assistant: list[int]
    """`assistant` and the line's end."""
    line_end: list[int]

    @classmethod
    def of(cls, tokenizer: "Tokenizer") -> "Chat":
        """Raises `UserError` for a tokenizer without these marks."""
        turn, end_of_turn = (tokenizer.token_to_id(token) for token in (TURN, END_OF_TURN))
        if turn is None or end_of_turn is None:
            raise UserError(
                f"model: its tokenizer has no {TURN} and {END_OF_TURN}, with which turns are marked; "
                "use one that has them, such as those of conan-train tokenizer"
            )
        assistant, line_end = encode(tokenizer, ["assistant\n", "\n"])
        return cls(tokenizer, turn, end_of_turn, assistant, line_end)

    def render(self, examples: Sequence[Example]) -> list[tuple[list[int], list[int]]]:
        """Return the tokens of prompt and output of each example; the output ends with the end of the turn."""
        turns = [(*example.before, Turn("user", example.prompt)) for example in examples]
        encoded = encode(self.tokenizer, [f"{turn.role}\n{turn.text}" for own in turns for turn in own])
        outputs = encode(self.tokenizer, [example.output for example in examples])
        found = []
        for own, output in zip(turns, outputs, strict=True):
            prompt: list[int] = []
            for _ in own:
                prompt += [self.turn, *next(encoded), self.end_of_turn, *self.line_end]
            found.append(([*prompt, self.turn, *self.assistant], [*output, self.end_of_turn]))
        return found

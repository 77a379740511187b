"""Who translates. A translator is a class in a file of its own (see `open`), a config here, and a field of
`TranslatorsConfig` by whose name it is chosen.

`keeps_answers` of a config says that its answers are kept as they come, so that an interrupted run goes on.
"""

import dataclasses
from typing import Annotated, Literal, TypeAlias

from annotated_types import MinLen

from conan_data.chat.config import ServerConfig, placeholders
from conan_data.config import Config, execution, require
from conan_data.fields import DISTINCT, Count
from conan_data.inputs import CachePath, DataPath, OptionalModelPath

PROMPT = (
    "Translate this search query into {language}. Keep its meaning, and keep names, code and numbers as they are. "
    "Answer with the translation alone, without quotation marks or remarks.\n\n{text}"
)
STRICTER = (
    "Translate this search query into {language}. Another translation of it was refused ({reason}). Write nothing but the "
    "translation, on one line and in {language}; no remarks, no quotation marks, no other language. Copy code, names, "
    "numbers and addresses unchanged.\n\n{text}"
)
Kind: TypeAlias = Literal["table", "endpoint", "seq2seq", "chat"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableConfig(Config):
    """Translations that exist already, such as those made by people."""

    path: DataPath = ""
    """File with query_id, lang, text and maybe origin (JSON lines, Parquet, CSV, TSV); empty: the
    translations beside the set's queries.
    """
    keeps_answers = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptConfig(Config):
    """How a language model is asked for a translation."""

    prompt: Annotated[str, placeholders("language", "text")] = PROMPT
    """What is asked; {language} and {text} are filled in."""
    retry: bool = True
    """Ask once more, by `retry_prompt`, where the checks refuse a translation."""
    retry_prompt: Annotated[str, placeholders("language", "reason", "text")] = STRICTER
    """What is asked then; {reason} is the reason of the checks."""
    glossary: DataPath = ""
    """File with term, lang, translation (CSV, TSV, JSON lines, Parquet); the terms that stand in a text are put before
    its prompt.
    """
    examples: DataPath = ""
    """File with text, lang, translation; all examples of a language go before each prompt, as earlier turns."""
    keeps_answers = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndpointConfig(PromptConfig, ServerConfig):
    """The server that translates, and how it is asked to."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalConfig(Config):
    """A model that runs here, through transformers."""

    model: OptionalModelPath = ""
    """Model folder, or its name on the Hub with an optional @revision."""
    max_new_tokens: Count = 256
    """Longest translation in tokens; a longer one is dropped (`answer-cut-off`)."""
    batch_size: Count = 16
    """Texts in one batch, which are of about one length. The last digits of a model's numbers depend on it, and so may
    a word here and there.
    """
    device: str = execution("auto")
    """Where to run: auto, cpu, cuda, cuda:1, mps."""
    threads: Count | None = execution(None)
    """Threads of the CPU; None for one for each processor that this process may use."""
    keeps_answers = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig(LocalConfig):
    """A translation model (NLLB, M2M-100, MADLAD-400, Marian)."""

    beams: Count = 4
    """Beams of the search; 1 for the most likely next token each time."""
    languages: dict[str, str] = dataclasses.field(default_factory=dict)
    """The model's own codes for languages that it calls otherwise, such as {pt_BR: por_Latn}."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChatModelConfig(PromptConfig, LocalConfig):
    """A language model with a chat template."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslatorsConfig(Config):
    """The translators that are asked, and each one's own config."""

    translator: Annotated[tuple[Kind, ...], MinLen(1), DISTINCT] = ("table",)
    """Who translates, first to last: table (translations that exist already), endpoint (a model behind an
    OpenAI-compatible server), seq2seq (a translation model, here), chat (a language model, here). What one cannot give,
    or gives so that the checks refuse it, goes to the next.
    """
    table: TableConfig = dataclasses.field(default_factory=TableConfig)
    """Translations that exist already."""
    endpoint: EndpointConfig = dataclasses.field(default_factory=EndpointConfig)
    """The server that translates."""
    seq2seq: Seq2SeqConfig = dataclasses.field(default_factory=Seq2SeqConfig)
    """The translation model."""
    chat: ChatModelConfig = dataclasses.field(default_factory=ChatModelConfig)
    """The language model."""
    mask: bool = True
    """Hide inline code, addresses, placeholders and quoted names from a model that translates, and put them back."""
    cache: CachePath = ""
    """Folder with answers of models that runs share, at once too; empty: each run keeps its own until it is done."""

    def check(self) -> None:
        super().check()
        for kind in self.translator:
            for name in ("base_url", "model"):
                value = getattr(getattr(self, kind), name, None)
                require(value != "", f"{kind}.{name}", value, f"is needed for translator {kind}")

    @property
    def keeps_answers(self) -> bool:
        """Return whether an interrupted run goes on from its answers."""
        return any(getattr(self, kind).keeps_answers for kind in self.translator)

    @property
    def asked_prompt(self) -> str:
        """Return the prompt of the first translator that has one."""
        return next(
            (getattr(self, kind).prompt for kind in self.translator if kind in ("endpoint", "chat")), PROMPT
        )

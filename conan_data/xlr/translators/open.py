"""Open the translators of a config: one line for each kind, in the order in which they are asked."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from conan_data.chat.answers import FILE, Answers
from conan_data.inputs import Input, marked_texts
from conan_data.models.locate import model_input
from conan_data.retrieval import RetrievalSplit
from conan_data.xlr.masking import MaskedTranslator
from conan_data.xlr.translators import Task, Translator
from conan_data.xlr.translators_config import TranslatorsConfig

_CLASSES = {
    "table": "table:open_table",
    "endpoint": "endpoint:EndpointTranslator",
    "seq2seq": "seq2seq:Seq2SeqTranslator",
    "chat": "chat:ChatModelTranslator",
}


def translator_inputs(config: TranslatorsConfig) -> list[str | Path]:
    """Return the files and models that the chosen translators read, models on the Hub at their commit."""
    found: list[str | Path] = []
    for kind in config.translator:
        for field, mark, text in marked_texts(getattr(config, kind)):
            if isinstance(mark, Input) and text:
                found.append(model_input(text, field=f"{kind}.{field[-1]}") if mark.is_model else text)
    return list(dict.fromkeys(found))


def open_answers(config: TranslatorsConfig, directory: Path) -> Answers:
    """Return where answers are kept: in the cache that runs share, or in `directory` until the run is done."""
    return Answers(Path(config.cache) / FILE, create=True) if config.cache else Answers(directory / FILE)


def open_translators(
    config: TranslatorsConfig, split: RetrievalSplit, languages: Sequence[str], answers: Answers, *, data: str
) -> dict[str, Translator]:
    """Return the translators by kind, ready to translate the queries of `split` into `languages`; raises `UserError` where one
    cannot. `data` names the queries in messages.
    """
    sources = sorted(set(split.queries.column("lang").to_pylist()))
    task = Task(data, languages, sources, split.translations, answers)
    opened: dict[str, Translator] = {}
    for kind in config.translator:
        module, _, name = _CLASSES[kind].partition(":")
        open_one = getattr(import_module(f"conan_data.xlr.translators.{module}"), name)
        own = getattr(config, kind)
        translator = open_one(own, task)
        # What people wrote needs no marks.
        opened[kind] = MaskedTranslator(translator) if config.mask and own.keeps_answers else translator
    return opened


def account_of(translators: Mapping[str, Translator], *, spent: bool) -> dict[str, dict[str, Any]]:
    """Return what the translators cost, by kind: for the manifest, or what this run took."""
    found = {kind: each.spent() if spent else each.used() for kind, each in translators.items()}
    return {kind: values for kind, values in found.items() if values}

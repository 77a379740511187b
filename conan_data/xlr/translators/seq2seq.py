"""Translation by a sequence-to-sequence model of transformers: NLLB, M2M-100, MADLAD-400, Marian.

The families tell languages apart in different ways, all of which are tokens of the vocabulary: NLLB and M2M-100 have one
for the source and one that the translation begins with, MADLAD-400 and Marian models of several targets one before the
text, and a Marian model of one pair none, for its tokenizer's settings name the pair.
"""

from collections.abc import Sequence
from typing import Any

from conan_data.chat.answers import Known
from conan_data.errors import UserError
from conan_data.models.files import read_settings
from conan_data.models.loading import quiet
from conan_data.xlr.translators import Request, Task
from conan_data.xlr.translators.codes import candidates, code_of
from conan_data.xlr.translators.local import LocalTranslator, read_answer
from conan_data.xlr.translators_config import Seq2SeqConfig

_FAMILIES = {"m2m_100": "M2M-100 or NLLB", "t5": "MADLAD-400", "marian": "Marian"}


class Seq2SeqTranslator(LocalTranslator):
    """Translates by greedy search or beams."""

    def __init__(self, config: Seq2SeqConfig, task: Task) -> None:
        """Raises `UserError` for a model that is none of these, or does not know a language."""
        from transformers import AutoModelForSeq2SeqLM

        super().__init__(config, task, field="seq2seq")
        self._beams = config.beams
        family = read_settings(self._folder / "config.json").get("model_type")
        if family not in _FAMILIES:
            raise UserError(
                f"seq2seq.model: {config.model} is a model of type {family!r}; known are {', '.join(_FAMILIES)} "
                f"({', '.join(_FAMILIES.values())})"
            )
        self._tokenizer = self._open_tokenizer()
        self._vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        self._settings = read_settings(self._folder / "tokenizer_config.json")
        self._codes = _codes_in(self._vocabulary, family)
        self._is_told_source = family == "m2m_100"
        mapped = config.languages
        self._targets = {
            language: self._code(mapped.get(language, language), language) for language in task.languages
        }
        self._sources = self._source_codes(mapped, task.source_languages)
        self._model = self._open_model(AutoModelForSeq2SeqLM, self._tokenizer)

    def _code(self, name: str, language: str) -> str:
        """The code of a target; "" where the model has one target alone, which this is."""
        field, model = "mix", self._config.model
        if self._codes:
            return name if name in self._codes else code_of(language, self._codes, field=field, model=model)
        own = str(self._settings.get("target_lang", ""))
        if own not in (name, *candidates(language)):
            raise UserError(
                f"mix: {model} translates into {own or 'one language'!r}, not into {language!r}; leave the language out, or map "
                f"it by seq2seq.languages"
            )
        return ""

    def _source_codes(self, mapped: dict[str, str], languages: Sequence[str]) -> dict[str, str]:
        """The codes of the sources, where the model is told about them."""
        if not self._is_told_source:
            own = str(self._settings.get("source_lang", ""))
            strange = next(
                (
                    name
                    for name in languages
                    if own and own not in (mapped.get(name, name), *candidates(name))
                ),
                None,
            )
            if strange is not None and not self._codes:
                raise UserError(
                    f"data: has queries in {strange!r}, and {self._config.model} translates from {own!r}"
                )
            return dict.fromkeys(languages, "")
        return {
            name: mapped[name]
            if mapped.get(name) in self._codes
            else code_of(name, self._codes, field="data", model=self._config.model)
            for name in languages
        }

    def _asked(self, request: Request) -> tuple[str, ...]:
        source, target = self._sources[request.source_language], self._targets[request.language]
        return (source, target, str(self._beams), request.text)

    def _generate(self, requests: Sequence[Request]) -> list[Known]:
        """Requests of one pair of languages are generated together."""
        found: dict[int, Known] = {}
        pairs: dict[tuple[str, str], list[int]] = {}
        for place, request in enumerate(requests):
            pairs.setdefault(self._asked(request)[:2], []).append(place)  # type: ignore[arg-type]
        for (source, target), places in pairs.items():
            texts = [requests[place].text for place in places]
            found |= zip(places, self._generate_pair(texts, source, target))
        return [found[place] for place in range(len(requests))]

    def _generate_pair(self, texts: list[str], source: str, target: str) -> list[Known]:
        import torch

        token = self._codes.get(target, "")
        options: dict[str, Any] = {}
        if self._is_told_source:
            self._tokenizer.src_lang = source
            options["forced_bos_token_id"] = self._vocabulary[token]
        elif token:
            texts = [f"{token} {text}" for text in texts]
        batch = self._tokenizer(texts, return_tensors="pt", padding=True).to(self._device)
        longest = self._longest
        with torch.inference_mode(), quiet():
            tokens = self._model.generate(
                **{name: batch[name] for name in ("input_ids", "attention_mask")},
                num_beams=self._beams,
                do_sample=False,
                max_new_tokens=min(self._config.max_new_tokens, longest),
                **options,
            )
        end = self._model.generation_config.eos_token_id
        ends = set(end if isinstance(end, list) else [end])
        said = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        sizes = batch["attention_mask"].sum(1).tolist()
        return [
            Known("", "source-too-long")
            if size > longest
            else read_answer(text, is_cut=not ends & set(row[1:]))
            for text, row, size in zip(said, tokens.tolist(), sizes)
        ]

    @property
    def _longest(self) -> int:
        """Positions that the model has; where it counts none, the limit of new tokens."""
        return int(getattr(self._model.config, "max_position_embeddings", 0) or 1 << 20)


def _codes_in(vocabulary: dict[str, int], family: str) -> dict[str, str]:
    """The codes that a vocabulary has, with the token of each."""
    from conan_data.xlr.translators.codes import FLORES

    marks = {"t5": ("<2", ">"), "marian": (">>", "<<")}
    if family in marks:
        opening, closing = marks[family]
        return {
            token.removeprefix(opening).removesuffix(closing): token
            for token in vocabulary
            if token.startswith(opening) and token.endswith(closing)
        }
    flores = set(FLORES.values())
    short = {
        token.strip("_"): token
        for token in vocabulary
        if token.startswith("__") and token.endswith("__") and len(token) < 9
    }
    return short or {token: token for token in vocabulary if token in flores or _is_flores(token)}


def _is_flores(token: str) -> bool:
    code, _, script = token.partition("_")
    return len(code) == 3 and len(script) == 4 and code.islower() and script.istitle() and token.isascii()

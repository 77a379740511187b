"""Finds the language of a document, and drops what is in none of the configured ones."""

from collections.abc import Iterator

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.documents import Dropped, remaining
from conan_data.language.identify import Verdict, identify, load_identifier
from conan_data.language.labels import CHINESE, CHINESE_SCRIPTS, merge_variant
from conan_data.text.code import without_code


class FindLanguage(PipelineStep):
    """Sets `lang` and `lang_score`, and says in `label` how the declared language compares."""

    name, type = "language", "filter"

    def __init__(self, languages: tuple[str, ...], min_score: float, identifier: str = "langid") -> None:
        super().__init__()
        self.languages, self.min_score, self.identifier = frozenset(languages), min_score, identifier

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        identifier = load_identifier(self.identifier, self.languages)
        known = identifier.known | (CHINESE_SCRIPTS if CHINESE in identifier.known else frozenset())
        for document, is_in in remaining(data):
            if is_in:
                declared = merge_variant(document.metadata["declared"], self.languages)
                verdict = identify(
                    # Code is in no language; what is nothing else is judged as it is.
                    without_code(document.text) or document.text,
                    declared,
                    identifier=identifier,
                    languages=self.languages,
                    min_score=self.min_score,
                )
                document.metadata |= {"lang": verdict.lang, "lang_score": verdict.score}
                document.metadata["label"] = compare_label(declared, verdict, known=declared in known)
                if verdict.reason:
                    document.metadata["dropped"] = Dropped("language", verdict.reason, verdict.detail)
            yield document


def compare_label(declared: str, verdict: Verdict, *, known: bool) -> str:
    """`missing`, `unknown` (no label that the identifier knows), or `<declared>><found>`, where nothing is
    found if the guess was unsure. Chinese in either script is right for a label that names no script.
    """
    if not declared:
        return "missing"
    if not known:
        return "unknown"
    found = verdict.detail if verdict.reason == "other-language" else ""
    if verdict.score is not None:
        found = verdict.lang
    if declared == CHINESE and found in CHINESE_SCRIPTS:
        found = CHINESE
    return f"{declared}>{found}"

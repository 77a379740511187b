"""Finds the language of a document, and drops what is in none of the configured ones."""

from collections.abc import Iterator

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.documents import Dropped, remaining
from conan_data.language.identify import LangidIdentifier, Verdict, identify, merge_variant


class FindLanguage(PipelineStep):
    """Sets `lang` and `lang_score`, and says in `label` how the declared language compares."""

    name, type = "language", "filter"

    def __init__(self, languages: tuple[str, ...], min_score: float) -> None:
        super().__init__()
        self.languages, self.min_score = frozenset(languages), min_score

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        identifier = LangidIdentifier(sorted(self.languages))
        for document, is_in in remaining(data):
            if is_in:
                declared = merge_variant(document.metadata["declared"], self.languages)
                verdict = identify(
                    document.text,
                    declared,
                    identifier=identifier,
                    languages=self.languages,
                    min_score=self.min_score,
                )
                document.metadata |= {"lang": verdict.lang, "lang_score": verdict.score}
                document.metadata["label"] = compare_label(
                    declared, verdict, known=declared in identifier.known
                )
                if verdict.reason:
                    document.metadata["dropped"] = Dropped("language", verdict.reason, verdict.detail)
            yield document


def compare_label(declared: str, verdict: Verdict, *, known: bool) -> str:
    """`right`, `missing`, `unknown` (no label that the identifier knows), `unchecked` (the guess was unsure),
    or `<declared>><found>`.
    """
    found = (
        verdict.lang
        if verdict.score is not None
        else verdict.detail
        if verdict.reason == "other-language"
        else ""
    )
    if not declared:
        return "missing"
    if not known:
        return "unknown"
    if not found:
        return "unchecked"
    return "right" if found == declared else f"{declared}>{found}"

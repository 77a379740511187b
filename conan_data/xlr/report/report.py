"""`report.html` of a built set: what a person looks at before training on it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from conan_data import page
from conan_data.mining.encoder import load_encoder
from conan_data.retrieval import RetrievalSplit
from conan_data.xlr.config import BuildXlrConfig, ReportConfig
from conan_data.xlr.language_bias import measure_bias
from conan_data.xlr.mix import uniform
from conan_data.xlr.outcome import Outcome
from conan_data.xlr.pools import document_pool, version_pool

PAGE = "report.html"
_TEMPLATE = Path(__file__).parent / "page.html.jinja"
_CUT = 400
"""Characters of a text that are shown."""


def measure_encoder(config: ReportConfig, outcome: Outcome, result: RetrievalSplit) -> dict[str, Any]:
    """Return the encoder's language bias among the `versions` of the queries, their sources included, and among the
    `documents`; nothing where no encoder is named.
    """
    if not config.encoder:
        return {}
    kept = outcome.versions.filter(pl.col("reason") == "")
    translated = kept.select("text", lang="language", source_id="query_id")
    sources = kept.select(text="source", lang="source_language", source_id="query_id").unique(
        maintain_order=True
    )
    encoder = load_encoder(config.encoder, batch_tokens=config.batch_tokens, device=config.device)
    versions = version_pool(pl.concat([sources, translated]), sample=config.sample)
    documents = document_pool(result, sample=config.sample, documents=config.documents)
    return {
        **({"versions": measure_bias(versions, encoder, k=config.k)} if versions else {}),
        "documents": measure_bias(documents, encoder, k=config.k),
    }


def write_report(
    directory: Path, config: BuildXlrConfig, account: Mapping[str, Any], outcome: Outcome
) -> None:
    """Write `report.html`; `account` is the extra part of the manifest."""
    languages = sorted(
        account["chosen_by_language"], key=lambda name: (-account["chosen_by_language"][name], name)
    )
    text = page.render(
        _TEMPLATE,
        title="Cross-lingual retrieval set",
        account=account,
        languages=languages,
        document_languages=list(account["corpus_by_language"]),
        num_kept=outcome.kept.height,
        num_versions=outcome.versions.height,
        reasons=outcome.reasons(),
        examples=_examples(outcome.dropped, config.report.examples),
        encoder=account.get("encoder", {}),
        splits=config.written_splits,
        percent_of=page.percent,
        count_of=page.count,
    )
    (directory / PAGE).write_text(text, encoding="utf-8")


def _examples(dropped: pl.DataFrame, number: int) -> dict[str, list[dict[str, str]]]:
    """Up to `number` refused texts for each reason, drawn by a hash of query and language."""
    found: dict[str, list[dict[str, str]]] = {}
    texts = dropped.filter(pl.col("text").is_not_null())
    for (reason,), rows in sorted(texts.group_by("reason")):
        keys = zip(rows["query_id"].to_list(), rows["lang"].to_list(), strict=True)
        order = sorted(range(rows.height), key=dict(enumerate(uniform(0, *key) for key in keys)).__getitem__)
        found[reason] = [
            {**row, "source": row["source"][:_CUT], "text": row["text"][:_CUT]}
            for row in rows[order[:number]].iter_rows(named=True)
        ]
    return found

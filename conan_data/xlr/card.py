"""The data card of a cross-lingual set: the front matter by which `datasets` and mteb find its parts, and
what it holds in numbers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from conan_data.language.labels import read_label
from conan_data.retrieval import UNKNOWN_LANGUAGE, dataset_configs


def write_card(
    directory: Path,
    *,
    split: str,
    translator: str,
    by_language: Mapping[str, int],
    num_documents: int,
    num_judgements: int,
) -> None:
    """Writes `README.md`."""
    front: dict[str, Any] = {
        "language": sorted({read_label(language) for language in by_language} - {UNKNOWN_LANGUAGE}),
        "multilinguality": "translation",
        "task_categories": ["text-retrieval"],
        **dataset_configs(),
    }
    num_queries = sum(by_language.values())
    counts = "\n".join(
        f"| {language} | {count:,} | {count / num_queries:.1%} |"
        for language, count in sorted(by_language.items(), key=lambda item: (-item[1], item[0]))
    )
    body = f"""# Cross-lingual retrieval

Queries in {len(by_language)} languages over the passages of an existing retrieval set, which are unchanged.
Split `{split}`: {num_queries:,} queries, {num_documents:,} passages, {num_judgements:,} judgements.
Translated by {translator}. Every language version of a relevant passage is relevant.

| query language | queries | share |
|---|---|---|
{counts}

A query's `_id` is that of the query it comes from, `@`, and its language. `manifest.json` names the sources and counts what was dropped;
`dropped.jsonl` holds every refused translation with the reason, `quarantine.jsonl` every row that could not be read.

```python
from datasets import load_dataset

corpus = load_dataset("PATH", "corpus", split="{split}")
queries = load_dataset("PATH", "queries", split="{split}")
judgements = load_dataset("PATH", "default", split="{split}")
```
"""
    (directory / "README.md").write_text(
        f"---\n{yaml.safe_dump(front, sort_keys=True, allow_unicode=True)}---\n\n{body}", encoding="utf-8"
    )

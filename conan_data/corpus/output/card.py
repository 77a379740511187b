"""The data card of a corpus: the front matter by which `datasets` finds its documents, and what it holds.

Without it `load_dataset` takes the record of drops for documents, too, and fails on their columns.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CARD = "README.md"


def write_card(path: Path, *, documents: Mapping[str, int], characters: Mapping[str, int]) -> None:
    """Write the card of a corpus with so many documents and characters a language."""
    configs = [_config("default", "data/*/*.parquet", is_default=True)]
    configs += [_config(lang, f"data/{lang}/*.parquet") for lang in sorted(documents)]
    front: dict[str, Any] = {
        "language": sorted({lang.partition("-")[0] for lang in documents}),
        "task_categories": ["text-generation", "feature-extraction"],
        "configs": configs,
    }
    counts = "\n".join(
        f"| {lang} | {documents[lang]:,} | {characters.get(lang, 0):,} |"
        for lang in sorted(documents, key=lambda lang: (-documents[lang], lang))
    )
    example = min(documents)
    body = f"""# Corpus

{sum(documents.values()):,} documents, cleaned and deduplicated by `conan-data build-corpus`. `manifest.json` names the
sources, the settings and what was dropped; `dropped.parquet` has a row for each drop, `quarantine.jsonl` the rows that
could not be read.

| language | documents | characters |
|---|---|---|
{counts}

```python
from datasets import load_dataset

corpus = load_dataset("PATH", split="train")
one_language = load_dataset("PATH", "{example}", split="train")
```
"""
    path.write_text(
        f"---\n{yaml.safe_dump(front, sort_keys=True, allow_unicode=True)}---\n\n{body}", encoding="utf-8"
    )


def _config(name: str, path: str, *, is_default: bool = False) -> dict[str, Any]:
    config = {"config_name": name, "data_files": [{"split": "train", "path": path}]}
    return config | ({"default": True} if is_default else {})

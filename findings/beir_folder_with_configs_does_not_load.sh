#!/usr/bin/env bash
# datasets: a card with `configs` over a BEIR folder (JSON lines, and judgements in TSV) loads in no order of the configs.
#
# Versions: datasets 5.2.0, pyarrow 26.0.1.
# Seen: the format of the files is inferred once, from the first config of the card, and all configs are read in it.
#   With `corpus` first, load_dataset(folder, "default") reads qrels/test.tsv as JSON: DatasetGenerationError from
#   "JSON parse error". With `default` first the judgements load, and JSON lines are read as CSV: `queries` raises
#   ValueError, `corpus` comes back without a word, its first row taken for column names. Each config alone loads well.
# A guess ("each config has data_files of its own, so each is read by its own extension") fails: BEIR's own layout cannot
#   become one repository of the Hub by adding a card, which is why the published BEIR sets have a second repository for
#   the judgements, and mteb's have JSON lines throughout.
# What to do: write the judgements of a set that is to be published as JSON lines (or all three parts as Parquet), and
#   load every config of a card once before it is pushed, not only the first.
# Exits with 1 when the behaviour changes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "datasets==5.2.0" "pyarrow==26.0.1"
cat > "$work/show.py" <<'PYTHON'
import json
import sys
from pathlib import Path

import datasets

PATHS = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "default": "qrels/test.tsv"}


def outcome(folder: Path, config: str) -> str:
    try:
        rows = datasets.load_dataset(str(folder), config, split="test", cache_dir=str(folder / "cache"))
    except Exception as error:  # its kind is what is shown
        return type(error).__name__
    return "wrong columns" if not {"_id", "query-id"} & set(rows.column_names) else f"{len(rows)} rows"


def show(name: str, configs: list[str]) -> dict[str, str]:
    folder = Path(sys.argv[1]) / name
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": f"d{i}", "title": "", "text": f"passage {i}"} for i in range(3)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q0", "text": "question"}) + "\n")
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq0\td0\t1\n")
    entries = "".join(f"- config_name: {c}\n  data_files: [{{split: test, path: {PATHS[c]}}}]\n" for c in configs)
    (folder / "README.md").write_text(f"---\nconfigs:\n{entries}---\n")
    found = {config: outcome(folder, config) for config in configs}
    print(f"{name}: {found}")
    return found


alone = {config: show(f"alone-{config}", [config])[config] for config in PATHS}
corpus_first = show("corpus-first", ["corpus", "queries", "default"])
default_first = show("default-first", ["default", "corpus", "queries"])
same = (
    all(value.endswith("rows") for value in alone.values())
    and corpus_first["corpus"] == "3 rows" and corpus_first["default"] == "DatasetGenerationError"
    and default_first["default"] == "1 rows" and not default_first["corpus"].endswith("rows")
)  # fmt: skip
print("as described" if same else "CHANGED: read the header again")
sys.exit(not same)
PYTHON
HF_HUB_OFFLINE=1 HF_HOME="$work/home" "$work/venv/bin/python" "$work/show.py" "$work" 2>/dev/null

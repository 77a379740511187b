"""What the checks of `build-xlr` keep and drop, and what they cost: `python -m tests.benchmarks.xlr_checks`.

Sources of translations: people (tldr-pages), Apertium and SmolLM2 (JSON lines with query_id, text, language,
translation and maybe translator, as `--write` makes them), and faults planted in human translations: another language,
another query's translation, a part of it, a refusal, a loop. Printed is the share of each that each check refuses by
itself and all together, and the processor time of each check; `--encoder` adds the nearest-source check on a sample.
The last line is one JSON object of figures.
"""

import argparse
import gzip
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from tabulate import tabulate

from conan_data.xlr.checks import Checker, language
from conan_data.xlr.checks.check import COLUMNS
from conan_data.xlr.checks.nearest import find_far
from conan_data.xlr.config import ChecksConfig, NearestConfig
from conan_data.xlr.languages import english_name
from conan_data.xlr.translators_config import PROMPT

TLDR = Path(__file__).parents[2] / ".." / "shared" / "data" / "retrieval" / "tldr"
SCHEMA = dict.fromkeys(("query_id", *COLUMNS), pl.String)
REFUSALS = {
    "en": "I'm sorry, but I can't help with that request.",
    "es": "Lo siento, pero no puedo ayudarte con eso.",
    "fr": "Je suis désolé, mais je ne peux pas vous aider avec cette demande.",
    "de": "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "it": "Mi dispiace, ma non posso aiutarti con questa richiesta.",
    "ru": "К сожалению, я не могу помочь с этим запросом.",
    "ko": "죄송하지만 그 요청은 도와드릴 수 없습니다.",
    "zh": "很抱歉，我无法满足您的请求。",
    "ja": "申し訳ありませんが、そのご要望にはお応えできません。",
    "nl": "Het spijt me, maar daar kan ik niet mee helpen.",
}
"""Written for this benchmark; the first one stands in for other languages."""


def human() -> pl.DataFrame:
    rows = []
    for split in ("train", "dev"):
        sources = {row["_id"]: row["text"] for row in _lines(TLDR / f"queries.{split}.jsonl.gz")}
        for row in _lines(TLDR / f"translations.{split}.jsonl.gz"):
            rows.append((row["query_id"], row["text"], row["lang"], sources[row["query_id"]], "en"))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def written(path: Path) -> pl.DataFrame:
    rows = [
        (row["query_id"], row["translation"], row["language"], row["text"], "en")
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def planted(rows: pl.DataFrame, number: int) -> dict[str, pl.DataFrame]:
    """`number` rows of each fault."""
    rng = random.Random(5)
    by_query: dict[str, list[dict]] = {}
    for row in rows.iter_rows(named=True):
        by_query.setdefault(row["query_id"], []).append(row)
    by_language: dict[str, list[dict]] = {}
    for row in rows.iter_rows(named=True):
        by_language.setdefault(row["language"], []).append(row)
    found: dict[str, list[dict]] = {
        name: [] for name in ("language", "swapped", "cut", "refused", "repeated")
    }
    for row in rows.sample(fraction=1.0, seed=5, shuffle=True).iter_rows(named=True):
        text = row["text"]
        others = [each for each in by_query[row["query_id"]] if each["language"][:2] != row["language"][:2]]
        another = rng.choice(by_language[row["language"]])
        made = {
            "language": rng.choice(others)["text"] if others else None,
            "swapped": another["text"] if another["source"] != row["source"] else None,
            "cut": text[: int(len(text) * rng.uniform(0.3, 0.8))] if len(text) > 20 else None,
            "refused": REFUSALS.get(row["language"][:2], REFUSALS["en"]),
            "repeated": " ".join([text] * 3) if rng.random() < 0.5 else f"{text} {text[-12:] * 12}",
        }
        for name, fault in made.items():
            if fault and len(found[name]) < number:
                found[name].append({**row, "text": fault})
    return {name: pl.DataFrame(faults, schema=SCHEMA) for name, faults in found.items()}


def write(requests: Path, out: Path, *, model: Path | None) -> None:
    """Translate requests (JSON lines with query_id, text, language) by a local chat model, or into Spanish by Apertium."""
    rows = list(map(json.loads, requests.read_text(encoding="utf-8").splitlines()))
    answers = _chat(rows, model) if model else map(_apertium, rows)
    with open(out, "w", encoding="utf-8") as file:
        for row, text in zip(rows, answers, strict=True):
            file.write(json.dumps({**row, "translation": text}, ensure_ascii=False) + "\n")


def _apertium(row: dict) -> str:
    call = ["apertium", "-u", "eng-spa"]
    return subprocess.run(
        call, input=row["text"] + "\n", capture_output=True, text=True, check=True
    ).stdout.strip()


def _chat(rows: list[dict], model: Path) -> Iterator[str]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    decoder = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    for start in range(0, len(rows), 16):
        asked = [
            PROMPT.format(language=english_name(row["language"]), text=row["text"])
            for row in rows[start : start + 16]
        ]
        texts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
            )
            for text in asked
        ]
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            made = decoder.generate(**batch, max_new_tokens=96, do_sample=False)
        yield from (
            text.strip() for text in tokenizer.batch_decode(made[:, batch["input_ids"].shape[1] :], True)
        )


def refused(checker: Checker, rows: pl.DataFrame) -> dict[str, pl.Series]:
    """Which rows each check refuses, and `all` those of texts together."""
    found = {
        name: pl.select(pl.any_horizontal(*reasons.values())).to_series()
        if reasons
        else pl.repeat(False, len(rows), eager=True)
        for name, reasons in checker.find(rows).found.items()
    }
    found["all checks of texts"] = checker.check_each(rows)["reason"] != ""
    return found


def costs(checker: Checker, rows: pl.DataFrame) -> dict[str, float]:
    """Processor time of each check, in microseconds a row, the best of three."""

    def cost(run) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
        return min(times) / len(rows) * 1e6

    frame = checker.prepare(rows)
    found = {"columns for all": cost(lambda: checker.prepare(rows))}
    for check in checker.checks:
        found[check.name] = cost(lambda check=check: check.find(frame))
    found["language"] = cost(lambda: language.identify(frame))
    found["all checks of texts"] = cost(lambda: checker.check_each(rows))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--apertium", type=Path, help="answers of Apertium")
    parser.add_argument("--smollm2", type=Path, help="answers of SmolLM2")
    parser.add_argument("--encoder", default="", help="encoder of the nearest-source check")
    parser.add_argument("--sample", type=int, default=1000, help="rows of each source that are encoded")
    parser.add_argument("--faults", type=int, default=200, help="rows of each planted fault")
    parser.add_argument("--write", type=Path, nargs=2, metavar=("REQUESTS", "OUT"), help="only translate")
    parser.add_argument("--model", type=Path, help="chat model that translates; Apertium without")
    options = parser.parse_args()
    if options.write:
        return write(*options.write, model=options.model)
    checker = Checker(ChecksConfig())
    people = human()
    sources = {"human": people}
    sources |= {name: written(path) for name in ("apertium", "smollm2") if (path := getattr(options, name))}
    faults = planted(people, options.faults)
    tables = sources | {f"planted: {name}": rows for name, rows in faults.items()}
    found = {name: refused(checker, rows) for name, rows in tables.items()}
    cost = costs(checker, people)
    if options.encoder:
        _add_nearest(options, tables, found)
    checks = list(next(iter(found.values())))
    table = [
        [
            check,
            *(f"{found[name][check].mean():.2%}" for name in tables),
            f"{cost[check]:.2f}" if check in cost else "",
        ]
        for check in checks
    ]
    print(tabulate([*table, ["rows", *map(len, tables.values()), ""]], ["refused by", *tables, "us/row"]))
    untranslated = people.filter(_untranslated(found["human"]))
    print(f"untranslated human rows: {len(untranslated)}")
    for row in untranslated.iter_rows(named=True):
        print(f"  {row['query_id']}@{row['language']}: {row['text'][:90]}")
    last = checks[-1]
    caught = pl.concat([found[f"planted: {name}"][last] for name in faults])
    figures = {f"{name}_kept": round(1 - found[name]["all checks of texts"].mean(), 4) for name in sources}
    figures |= {
        f"{name}_kept_nearest": round(1 - found[name][last].mean(), 4) for name in sources if options.encoder
    }
    figures |= {"faults_caught": round(caught.mean(), 4), "us_per_row": round(cost["all checks of texts"], 1)}
    figures["untranslated"] = len(untranslated)
    print(json.dumps(figures))


def _untranslated(found: dict[str, pl.Series]) -> pl.Series:
    return found["same"] | found["language"] | found["script"]


def _add_nearest(
    options: argparse.Namespace, tables: dict[str, pl.DataFrame], found: dict[str, dict]
) -> None:
    """Add the nearest-source check, on a sample that then is all there is of a table."""
    everything = pl.concat([rows["source"] for rows in tables.values()])
    config = NearestConfig(model=options.encoder)
    for name, rows in list(tables.items()):
        places = pl.Series(range(len(rows))).sample(min(options.sample, len(rows)), seed=3)
        if name == "smollm2":
            # Most are refused anyway; the encoder's word is wanted on the others.
            places = (~found[name]["all checks of texts"]).arg_true()
        with tempfile.TemporaryDirectory() as folder:
            far = find_far(
                rows[places],
                everything,
                config,
                Path(folder, "vectors"),
                cache=Path(tempfile.gettempdir(), "xlr-vectors"),
            )
        refused_N = pl.repeat(None, len(rows), dtype=pl.Boolean, eager=True).scatter(places, far)
        found[name]["nearest source"] = refused_N
        together = pl.DataFrame({"text": found[name]["all checks of texts"], "far": refused_N})
        # Unknown where nothing was encoded, but that what SmolLM2 wrote and the other checks refuse stays refused.
        seen = pl.col("text") | pl.col("far")
        found[name]["all"] = together.select(
            seen if name == "smollm2" else pl.when(pl.col("far").is_not_null()).then(seen)
        ).to_series()


def _lines(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


if __name__ == "__main__":
    main()

"""`conan-data score-pairs`: the cosine of a teacher for every pair, and the pairs that reach a threshold.

Pairs are scored a part at a time, and the scores of a part are on disk before the next one begins, so that a killed
run goes on. A second reading counts the scores by language and finds the labelled pairs; from these the thresholds
are chosen; a third one writes what reaches them. No reading holds more than a part of the texts.
"""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from conan_data import artifact, page, tables
from conan_data.build_pairs.store import ShardWriter
from conan_data.cards.card import default_card
from conan_data.errors import UserError
from conan_data.files import written_aside
from conan_data.mining.embeddings import encode_to_shards
from conan_data.mining.encoder import Encoder, Kind, load_encoder
from conan_data.mining.endpoint_encoder import EndpointEncoder
from conan_data.models.locate import model_input
from conan_data.pairs.rows import pair_inputs
from conan_data.progress import counting
from conan_data.readers import quarantine
from conan_data.score_pairs import figures
from conan_data.score_pairs.config import ScorePairsConfig
from conan_data.score_pairs.instructions import COLUMNS as INSTRUCTION_COLUMNS
from conan_data.score_pairs.instructions import instructions, with_instructions
from conan_data.score_pairs.labels import Sample, pair_keys, read_labels, require_known
from conan_data.score_pairs.read import PairReader, is_ours
from conan_data.score_pairs.threshold import Threshold, choose_thresholds

log = logging.getLogger(__name__)
PAGE, NUMBERS, TO_LABEL, QUARANTINE = "report.html", "scores.json", "to_label.tsv", "quarantine.jsonl"
BELOW = "score-below-threshold"
_TEMPLATE = Path(__file__).parent / "page.html.jinja"
_ORIGINS = {"default": "given", "labels": "its labels", "all": "labels of all languages"}
_INSTRUCTIONS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in INSTRUCTION_COLUMNS])
_EXAMPLES = 6
"""Pairs of a language that are shown on each side of its threshold."""
_SHOWN = 600


def score_pairs(config: ScorePairsConfig) -> Path:
    """Publish an artifact of kind `pairs` with a column `score`, and return where it is.

    Raises `UserError` for pairs, a model, a server or labels that cannot be used, and where no pair is left.
    """
    inputs: list[str | Path] = []
    for name in config.pairs:
        inputs += [name] if is_ours(name) else pair_inputs([name])
    inputs += [model_input(config.model)] if config.model else []
    inputs += [config.labels] if config.labels else []
    with artifact.building(
        config, kind="pairs", command="conan-data score-pairs", inputs=inputs, resume=True
    ) as build:
        if build.done:
            return build.out
        for name in ("data", "sft"):  # of a run that was killed while it wrote
            shutil.rmtree(build.dir / name, ignore_errors=True)
        labels = read_labels(config.labels) if config.labels else {}
        reader = PairReader(config.pairs, config.split, config.part_pairs)
        scores = _Scores(config, build.dir / "scores")
        scores.fill(reader)
        survey = _survey(config, reader, scores, labels)
        thresholds = survey.thresholds(config)
        kept = _write(config, build.dir, reader, scores, thresholds, survey)
        scores.remove()
        num_kept = sum(found["kept"] for found in kept.languages.values())
        if not num_kept:
            raise UserError(f"{', '.join(config.pairs)}: no pair reaches the threshold")
        dropped = Counter({BELOW: survey.num_pairs - num_kept}) + reader.num_broken
        rows = artifact.Rows(
            read=survey.num_pairs + reader.num_broken.total(), kept=num_kept, dropped=dropped
        )
        reader.account.say()
        quarantine(reader.broken, build.dir / QUARANTINE, below=config.pairs)
        survey.sample.write(build.dir / TO_LABEL, labels)
        numbers = {
            "languages": {
                name: {**found, "threshold": thresholds[name].to_json()}
                for name, found in sorted(
                    kept.languages.items(), key=lambda item: (-item[1]["pairs"], item[0])
                )
            },
            "kinds": [
                {"kind": kind, "source": source, **found}
                for (kind, source), found in sorted(kept.kinds.items())
            ],
            "bins": {"low": -1, "high": 1, "number": figures.NUM_BINS},
            "histograms": {name: found.tolist() for name, found in sorted(survey.counts.items())},
        }
        (build.dir / NUMBERS).write_text(json.dumps(numbers, indent=1, ensure_ascii=False), encoding="utf-8")
        text = page.render(
            _TEMPLATE,
            title="Scores of pairs",
            rows=rows,
            num_scored=survey.num_pairs,
            num_labels=len(labels),
            languages=numbers["languages"],
            kinds=numbers["kinds"],
            origins=_ORIGINS,
            most_languages=figures.MOST_LANGUAGES,
            figure=page.Markup(figures.histograms(survey.counts, thresholds)),
            examples=kept.examples(thresholds),
            config=build.header["config"],
        )
        (build.dir / PAGE).write_text(text, encoding="utf-8")
        log.info("to read: %s; to label: %s", build.out / PAGE, build.out / TO_LABEL)
        extra = {
            "rows_are": "pairs + rows that cannot be read",
            "teacher": scores.fingerprint,
            "pairs_by_kind": kept.totals(0),
            "pairs_by_source": kept.totals(1),
            "pairs_by_language": {name: found["kept"] for name, found in sorted(kept.languages.items())},
            "thresholds": {name: found.to_json() for name, found in sorted(thresholds.items())},
            **({"instructions_in": sorted(instructions())} if config.instructions else {}),
            **reader.account.to_json(),
        }
        return build.publish(rows=rows, extra=extra, card=default_card)


class _Scores:
    """The scores of all parts, on disk."""

    def __init__(self, config: ScorePairsConfig, directory: Path) -> None:
        self._config, self._directory = config, directory
        self._encoder = _open_encoder(config)
        self.fingerprint = self._encoder.fingerprint

    def fill(self, reader: PairReader) -> None:
        """Score the parts that have no scores yet."""
        done = 0
        with counting("scoring", unit="pair") as meter:
            for number, part in enumerate(reader.parts()):
                path = self._path(number)
                is_new = not path.exists()
                if is_new:
                    with written_aside(path) as aside, open(aside, "wb") as file:
                        np.save(file, self._score(part))
                done += part.height
                meter.catch_up(done, is_new=is_new)

    def of(self, number: int, size: int) -> np.ndarray:
        """float32 [size]: the scores of a part."""
        scores = np.load(self._path(number))
        assert scores.shape == (size,), "the pairs have changed while they were scored"
        return scores

    def remove(self) -> None:
        shutil.rmtree(self._directory)

    def _path(self, number: int) -> Path:
        return self._directory / f"part-{number:06d}.npy"

    def _score(self, part: pl.DataFrame) -> np.ndarray:
        query_BD, document_BD = (
            self._vectors(part["query"], "query"),
            self._vectors(part["document"], "document"),
        )
        return np.einsum("bd,bd->b", query_BD, document_BD, dtype=np.float32)

    def _vectors(self, texts: pl.Series, kind: Kind) -> np.ndarray:
        """Equal texts of a part are encoded once."""
        distinct = texts.unique(maintain_order=True)
        place = pl.Series(np.arange(len(distinct)))
        rows = texts.replace_strict(distinct, place, return_dtype=pl.Int64).to_numpy()
        names = [f"{kind} {text[:60]!r}" for text in distinct.to_list()]
        found = encode_to_shards(
            self._encoder,
            distinct.to_list(),
            names,
            self._directory / kind,
            kind=kind,
            shard_size=max(1, len(distinct)),
            cache=Path(self._config.cache) if self._config.cache else None,
        )
        return found.gather(rows).astype(np.float32)


@dataclass
class _Survey:
    """What is known of all scored pairs."""

    sample: Sample
    num_pairs: int = 0
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    """Histogram by language."""
    labelled: list[tuple[int, float, float, str]] = field(default_factory=list)
    """Key, score, label and language of each labelled pair."""

    def thresholds(self, config: ScorePairsConfig) -> dict[str, Threshold]:
        """Return the threshold of each language."""
        keys, scores, labels, languages = zip(*self.labelled, strict=True) if self.labelled else ([],) * 4
        return choose_thresholds(
            np.array(scores, np.float64),
            np.array(labels) > 0.5,
            np.array(languages, object),
            np.array(keys, np.uint64),
            languages=sorted(self.counts),
            precision=config.precision,
            min_labels=config.min_labels,
            default=config.threshold,
        )


def _survey(
    config: ScorePairsConfig, reader: PairReader, scores: _Scores, labels: dict[int, float]
) -> _Survey:
    survey = _Survey(Sample(config.sample))
    wanted = np.array(sorted(labels), np.uint64)
    seen: set[int] = set()
    for part, scores_B in _scored(reader, scores):
        survey.num_pairs += part.height
        for (language,), rows in part.with_row_index("row").group_by("direction", maintain_order=True):
            own = scores_B[rows["row"].to_numpy()]
            counts, _ = np.histogram(np.clip(own, -1, 1), figures.EDGES)
            survey.counts[str(language)] = survey.counts.get(str(language), 0) + counts
        if not config.sample and not labels:
            continue
        keys = pair_keys(part)
        if config.sample:
            survey.sample.add(part, keys)
        for row in np.flatnonzero(np.isin(keys, wanted)).tolist():
            key = int(keys[row])
            if key not in seen:
                seen.add(key)
                survey.labelled.append((key, float(scores_B[row]), labels[key], part["direction"][row]))
    if labels:
        require_known(labels, list(seen), config.labels)
    return survey


def _scored(reader: PairReader, scores: _Scores) -> Iterator[tuple[pl.DataFrame, np.ndarray]]:
    for number, part in enumerate(reader.parts()):
        yield part, scores.of(number, part.height)


@dataclass
class _Kept:
    """What became of the pairs."""

    languages: dict[str, dict[str, int]] = field(default_factory=dict)
    kinds: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    near: pl.DataFrame | None = None
    """The pairs of each language nearest to its threshold, on each side."""

    def add(self, part: pl.DataFrame) -> None:
        """Count the pairs of a part, with `score`, `is_kept` and the `distance` to the threshold."""
        tables_of: tuple[tuple[list[str], dict[Any, dict[str, int]]], ...] = (
            (["direction"], self.languages),
            (["kind", "source"], self.kinds),
        )
        for by, found in tables_of:
            for *names, pairs, kept in (
                part.group_by(by, maintain_order=True).agg(pl.len(), pl.col("is_kept").sum()).iter_rows()
            ):
                key: Any = tuple(names) if len(names) > 1 else names[0]
                own = found.setdefault(key, {"pairs": 0, "kept": 0})
                own["pairs"] += pairs
                own["kept"] += kept
        texts = [pl.col(name).str.slice(0, _SHOWN) for name in ("query", "document")]
        shown = part.select("direction", "is_kept", "distance", "score", "kind", *texts)
        both = shown if self.near is None else pl.concat([self.near, shown])
        both = both.sort("direction", "is_kept", "distance", maintain_order=True)
        self.near = (
            both.group_by("direction", "is_kept", maintain_order=True).head(_EXAMPLES).select(shown.columns)
        )

    def examples(self, thresholds: dict[str, Threshold]) -> dict[str, list[dict[str, Any]]]:
        """Return the pairs around the threshold of the languages with most pairs, best first."""
        assert self.near is not None
        order = sorted(thresholds, key=lambda name: (-self.languages[name]["pairs"], name))
        return {
            name: self.near.filter(pl.col("direction") == name)
            .sort("score", descending=True, maintain_order=True)
            .to_dicts()
            for name in order[: figures.MOST_LANGUAGES]
        }

    def totals(self, place: int) -> dict[str, int]:
        """Return the kept pairs by kind (0) or source (1)."""
        found: Counter[str] = Counter()
        for names, counts in self.kinds.items():
            found[names[place]] += counts["kept"]
        return {name: count for name, count in sorted(found.items()) if count}


def _write(
    config: ScorePairsConfig,
    directory: Path,
    reader: PairReader,
    scores: _Scores,
    thresholds: dict[str, Threshold],
    survey: _Survey,
) -> _Kept:
    values = {name: threshold.value for name, threshold in thresholds.items()}
    kept = _Kept()
    told = (
        ShardWriter(directory / "sft", _INSTRUCTIONS, rows_per_file=config.shard_pairs, name="sft")
        if config.instructions
        else None
    )
    with (
        counting("writing", total=survey.num_pairs, unit="pair") as meter,
        ShardWriter(directory / "data", tables.SCORED_PAIRS, rows_per_file=config.shard_pairs) as writer,
    ):
        for part, scores_B in _scored(reader, scores):
            limit = part["direction"].replace_strict(values, return_dtype=pl.Float64)
            part = part.with_columns(pl.Series("score", scores_B), limit.alias("limit"))
            part = part.with_columns(
                is_kept=pl.col("score") >= pl.col("limit"), distance=(pl.col("score") - pl.col("limit")).abs()
            )
            kept.add(part)
            chosen = part.filter("is_kept")
            writer.add(chosen.select(tables.SCORED_PAIRS.names).to_arrow())
            if told is not None:
                told.add(with_instructions(chosen).to_arrow())
            meter.advance(part.height)
    if told is not None:
        told.close()
    return kept


def _open_encoder(config: ScorePairsConfig) -> Encoder:
    prompts: dict[Kind, str] = {}
    if config.query_prompt is not None:
        prompts["query"] = config.query_prompt
    if config.document_prompt is not None:
        prompts["document"] = config.document_prompt
    if config.endpoint.base_url:
        return EndpointEncoder(config.endpoint, prompts=prompts)
    return load_encoder(
        config.model,
        max_length=config.max_length,
        batch_tokens=config.batch_tokens,
        device=config.device,
        prompts=prompts,
    )

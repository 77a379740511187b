"""What the Python functions of the training side return (see `conan_data.results`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conan_data.results import Result, flattened, table
from conan_train.report.artifacts import SCORES, read_json

if TYPE_CHECKING:
    import polars as pl

FIRST_FIGURES = 3
"""Of a training's curves, those that a notebook shows: the loss, the scores, what the rule replaced."""


class Tokenizer(Result):
    """A tokenizer: what text costs in it, by language."""

    @property
    def fertility(self) -> "pl.DataFrame":
        """Tokens by language: `language`, `documents`, `characters`, `tokens`, `characters_per_token`, ..., and those of
        the baseline as `baseline_...`, if there was one.
        """
        from conan_train.tokenizer.train import FERTILITY

        rows = read_json(self.artifact, FERTILITY)
        return table([flattened({"language": language, **row}) for language, row in rows.items()])

    def tables(self) -> "Mapping[str, pl.DataFrame]":
        return {"fertility": self.fertility, **super().tables()}


class Model(Result):
    """A model, with the curves of its training."""

    @property
    def curves(self) -> "pl.DataFrame":
        """The log of the training, a row for each step that it has: `step`, `loss`, `lr`, ..., without any row for a model
        that was not trained.
        """
        from conan_train.report.artifacts import timed_log
        from conan_train.report.training import step_lines
        from conan_train.training.loop import flat

        return table([dict(flat(line)) for line in step_lines(timed_log(self.artifact))])

    @property
    def refreshes(self) -> "pl.DataFrame":
        """The minings of negatives during the training, a row each: `step`, `mean_score`, `changed`, ..."""
        from conan_train.report.artifacts import timed_log
        from conan_train.report.training import refreshes

        rows = [
            {name: value for name, value in line.items() if isinstance(value, str | int | float | None)}
            for line in refreshes(timed_log(self.artifact))
        ]
        return table(rows)

    def tables(self) -> "Mapping[str, pl.DataFrame]":
        curves = self.curves
        shown = [
            name
            for name in ("step", "loss", "positive_score", "negative_score", "accuracy")
            if name in curves
        ]
        return {"last step": curves.select(shown).tail(1), "minings": self.refreshes, **super().tables()}

    def figures(self) -> Mapping[str, str]:
        from conan_train.report.model_sections import training_section

        # A notebook is one page, in which two figures of one name would share their ids.
        number = int(self.artifact.manifest_hash[:8], 16)
        section = training_section(self.artifact, name=self.path.name, number=number)
        drawn = section["figures"][:FIRST_FIGURES] if section else []
        return {figure["caption"]: figure["svg"] for figure in drawn}


class Scores(Result):
    """An evaluation: `scores` on a retrieval set, `sts` on scored pairs, `classification` on labelled texts; a table is
    empty where its data were not asked for. Scores are shares of 1.
    """

    @property
    def record(self) -> dict[str, Any]:
        """What was written (`scores.json`)."""
        return read_json(self.artifact, SCORES)

    @property
    def scores(self) -> "pl.DataFrame":
        """Means over queries: `pool` (`same-language`, ..., `en -> de`, ...), `num_queries`, and each metric with the ends
        of its interval (95%), `ndcg@10`, `ndcg@10_low`, `ndcg@10_high`, ...
        With vectors that were also cut, `dimensions` comes first: null for the whole ones.
        """
        record = self.record
        cuts = record.get("cuts", {})
        rows = _score_rows(record)
        if cuts:
            rows = [{"dimensions": None, **row} for row in rows]
        for size, cut in cuts.items():
            rows += [{"dimensions": int(size), **row} for row in _score_rows(cut)]
        return table(rows)

    @property
    def sts(self) -> "pl.DataFrame":
        """Spearman's correlation: `file`, `language`, `dimensions`, `num_pairs`, `spearman` and its ends."""
        rows = [
            {
                "file": group["source"],
                "language": group["language"],
                "dimensions": int(size),
                "num_pairs": group["num_pairs"],
                **flattened({"spearman": score}),
            }
            for group in self.record.get("sts", {}).get("groups", [])
            for size, score in group["spearman"].items()
        ]
        return table(rows)

    @property
    def classification(self) -> "pl.DataFrame":
        """Of the probe: `dimensions`, `accuracy`, `macro_f1`, and their ends."""
        scores = self.record.get("classification", {}).get("scores", {})
        return table([{"dimensions": int(size), **flattened(own)} for size, own in scores.items()])

    @property
    def text(self) -> str:
        from conan_train.evaluation.table import score_table

        return score_table(self.record)

    def tables(self) -> "Mapping[str, pl.DataFrame]":
        return {
            "retrieval": self.scores,
            "semantic textual similarity": self.sts,
            "classification": self.classification,
            **super().tables(),
        }

    def figures(self) -> Mapping[str, str]:
        from conan_train.report.figures import heat_maps

        scores = {
            (pair["query_language"], pair["document_language"]): pair["scores"]["ndcg@10"]["value"]
            for pair in self.record.get("pairs", [])
        }
        if len(scores) < 2:
            return {}
        return {
            "nDCG@10 in %": heat_maps(f"pairs-{self.path.name}", {self.path.name: scores}, metric="nDCG@10")
        }


def _score_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [
        {"pool": name, "num_queries": group["num_queries"], **flattened(group["by_query"])}
        for name, group in record.get("summary", {}).items()
    ]
    pools = {
        f"{pair['query_language']} -> {pair['document_language']}": pair for pair in record.get("pairs", [])
    }
    if record.get("mixed"):
        pools["all languages in one pool"] = record["mixed"]
    return rows + [
        {"pool": name, "num_queries": pool["num_queries"], **flattened(pool["scores"])}
        for name, pool in pools.items()
    ]


class Comparison(Result):
    """A comparison of evaluations: which `differences` hold."""

    @property
    def record(self) -> dict[str, Any]:
        """What was written (`comparison.json`)."""
        from conan_train.comparison.compare import RESULT

        return read_json(self.artifact, RESULT)

    @property
    def differences(self) -> "pl.DataFrame":
        """A row for each evaluation beside the baseline, pool and metric: `model`, `pool`, `num_queries`, `metric`,
        `baseline`, `other`, `difference` (other minus baseline), `low`, `high`, `p`, `holds`.
        """
        return table(
            {
                "model": comparison["name"],
                "pool": pool["name"],
                "num_queries": pool["num_queries"],
                "metric": metric,
                **own,
            }
            for comparison in self.record["comparisons"]
            for pool in (*comparison["groups"], *comparison["pairs"])
            for metric, own in pool["metrics"].items()
        )

    @property
    def text(self) -> str:
        from conan_train.comparison.compare import table as comparison_table

        return comparison_table(self.record)

    def tables(self) -> "Mapping[str, pl.DataFrame]":
        import polars as pl

        return {
            "differences in ndcg@10": self.differences.filter(pl.col("metric") == "ndcg@10").drop("metric")
        }


@dataclass(frozen=True)
class RecipeRun:
    """A recipe that was run: what each of its stages made, by name; and the summary, or with `dry_run` the plan."""

    stages: Mapping[str, Result]
    summary: str

    def __getitem__(self, stage: str) -> Result:
        return self.stages[stage]

    def __str__(self) -> str:
        return self.summary

    def _repr_html_(self) -> str:
        from markupsafe import escape

        from conan_data.visible import visible_in_page

        return f"<pre>{escape(visible_in_page(self.summary))}</pre>"

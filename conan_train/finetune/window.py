"""What happened in the steps since the last line of the log, as sums that a checkpoint can hold."""

import math
from dataclasses import dataclass

from conan_train.step.contrastive import ContrastiveLoss


@dataclass
class Window:
    """Sums over steps, queries and negatives; a resumed run goes on adding to those of its checkpoint, so its
    log shows no seam.
    """

    num_steps: int = 0
    num_queries: int = 0
    num_negatives: int = 0
    num_replaced: int = 0
    loss: float = 0.0
    accuracy: float = 0.0
    positive_score: float = 0.0
    negative_score: float = 0.0
    seconds: float = 0.0

    def add(self, result: ContrastiveLoss, *, num_replaced: int, seconds: float) -> None:
        """Adds one step."""
        present = result.negative_scores[~result.negative_scores.isnan()]
        self.num_steps += 1
        self.num_queries += len(result.positive_scores)
        self.num_negatives += len(present)
        self.num_replaced += num_replaced
        self.loss += float(result.loss)
        self.accuracy += float(result.correct.float().mean())
        self.positive_score += float(result.positive_scores.sum())
        self.negative_score += float(present.sum())
        self.seconds += seconds

    def means(self) -> dict[str, float | int]:
        """Means over steps (loss, accuracy), queries (positive score) and negatives (negative score; NaN if
        there were none).
        """
        return {
            "loss": self.loss / self.num_steps,
            "positive_score": self.positive_score / self.num_queries,
            "negative_score": self.negative_score / self.num_negatives if self.num_negatives else math.nan,
            "accuracy": self.accuracy / self.num_steps,
            "replaced": self.num_replaced,
            "queries_per_second": self.num_queries / self.seconds,
        }

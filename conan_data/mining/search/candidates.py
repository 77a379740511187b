"""The best documents of many queries so far, while blocks of documents stream by.

Few of a block's documents are better than the worst that a query keeps, so a query has a buffer for twice as
many as it keeps, finds are put at its end, and only a full one is sorted out. Each time the *cutoff* rises, and
fewer documents pass.

Legend: B queries of a pass, T of a tile, W places of a query, n pairs of a query and a document.
"""

import torch


class Candidates:
    """Of B queries. What was left out of a query's buffer has a score of at most its cutoff, in float32 or exactly."""

    def __init__(self, num_queries: int, *, keep: int, cutoff_B: torch.Tensor | None = None) -> None:
        self.keep = keep
        self.scores_BW = torch.full((num_queries, 2 * keep), -torch.inf)
        self.rows_BW = torch.zeros((num_queries, 2 * keep), dtype=torch.int32)
        self.exact_B = torch.ones(num_queries, dtype=torch.bool)
        """Whether all of a query's scores are exact."""
        self.filled_B = torch.zeros(num_queries, dtype=torch.int64)
        self.cutoff_B = torch.full((num_queries,), -torch.inf) if cutoff_B is None else cutoff_B.clone()

    def add(self, tile: slice, queries_n: torch.Tensor, rows_n: torch.Tensor, scores_n: torch.Tensor) -> None:
        """Adds pairs with scores that are not exact, ordered by query (numbered from the start of the tile), at most
        `keep` of a query.
        """
        counts_T = torch.bincount(queries_n, minlength=tile.stop - tile.start)
        self.exact_B[tile] &= counts_T == 0
        if int((self.filled_B[tile] + counts_T).amax()) > 2 * self.keep:
            self.compact(tile)
        starts_T = self.filled_B[tile] - (counts_T.cumsum(0) - counts_T)
        places_n = torch.arange(len(queries_n)) + starts_T[queries_n]
        flat_n = (queries_n + tile.start) * (2 * self.keep) + places_n
        self.scores_BW.view(-1)[flat_n] = scores_n
        self.rows_BW.view(-1)[flat_n] = rows_n
        self.filled_B[tile] += counts_T

    def compact(self, tile: slice) -> None:
        """Keeps the best, and raises the cutoff to the worst of them."""
        best, places = self.scores_BW[tile].topk(self.keep, dim=1, sorted=False)
        rows = self.rows_BW[tile].gather(1, places)
        self.scores_BW[tile] = -torch.inf
        self.scores_BW[tile, : self.keep] = best
        self.rows_BW[tile, : self.keep] = rows
        # A query with fewer has its finds somewhere among them, so its places are all taken.
        self.filled_B[tile] = self.keep
        self.cutoff_B[tile] = torch.maximum(self.cutoff_B[tile], best.amin(dim=1))

"""Labels that say which is which: the last part of a path, and as much more as two alike need."""

from collections.abc import Sequence
from pathlib import Path, PurePath

SHORT_HASH = 8


def distinct_names(paths: Sequence[str | Path], hashes: Sequence[str]) -> list[str]:
    """Return a label a path: its last part, with parents in front of it where two paths end alike, and the
    beginning of its hash where the paths are the same to the end.

    `hashes` identify what lies at the paths; paths with one hash and one name share their label.
    """
    parts = [PurePath(path).parts or (str(path),) for path in paths]
    keys = list(zip(parts, hashes, strict=True))
    labels = []
    for own, digest in keys:
        others = {other for other, other_hash in keys if (other, other_hash) != (own, digest)}
        depth = next(
            (
                depth
                for depth in range(1, len(own) + 1)
                if all(other[-depth:] != own[-depth:] for other in others)
            ),
            None,
        )
        labels.append(str(PurePath(*own[-depth:])) if depth else f"{own[-1]} {digest[:SHORT_HASH]}")
    return labels

"""The section of a card on an encoder's language bias, as `build-xlr` measured it (see `xlr.language_bias`)."""

from collections.abc import Mapping
from typing import Any

from conan_data.cards.facts import Matrix, Plot, Section
from conan_data.cards.markdown import Table

_POOLS = {"versions": "versions of one question", "documents": "passages"}


def bias_sections(extra: Mapping[str, Any]) -> list[Section]:
    """Return the table of both pools, plain and with the mean vector of each language subtracted."""
    found: Mapping[str, Any] = extra.get("encoder", {})
    rows = []
    for pool in filter(found.get, _POOLS):
        for key, centred in (("plain", "no"), ("centred", "yes")):
            figures = found[pool][key]
            measured = (figures[name] for name in ("found", "same_language", "fair_share", "bias"))
            rows.append((_POOLS[pool], centred, *measured))
    if not rows:
        return []
    k = max(found[pool]["k"] for pool in _POOLS if pool in found)
    text = (
        f"What {found['model']} finds among the {k} nearest of a pool of all languages, and the share of the query's own "
        "language there, over its fair share (1 is none). Subtracting the mean vector of each language costs nothing: it is "
        "the baseline of any training across languages."
    )
    columns = ("pool", "means subtracted", "found", "same language", "fair share", "bias")
    return [Section("Language bias", Table(columns, rows), text)]


def bias_plots(extra: Mapping[str, Any]) -> list[Plot]:
    """Return the recall by direction, plain."""
    found = extra.get("encoder", {}).get("documents", {}).get("plain", {}).get("found_by_direction", {})
    if not found:
        return []
    columns = sorted({name for row in found.values() for name in row})
    values = [[row.get(name, 0.0) for name in columns] for row in found.values()]
    return [
        Matrix(
            "recall",
            "Passages found, by language of the query (down) and passage (across)",
            list(found),
            columns,
            values,
        )
    ]

"""What the report shows of documents that no task dropped: duplicates beside the text that stays, documents of
each language that are kept, and their tokens.
"""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conan_data.corpus.output.names import Names
from conan_data.corpus.output.reasons import REASONS, reasons
from conan_data.corpus.parts import part_path
from conan_data.corpus.records import blocks
from conan_data.corpus.report import examples
from conan_data.corpus.report.examples import Example, Examples
from conan_data.corpus.workspace import Workspace, opened, survivors

BLOCK = 1 << 15
"""Rows of the input looked at together."""


def choose_examples(work: Workspace) -> tuple[list[Example], dict[str, int]]:
    """The examples of all parts and of the passes after them, and the tokens that are kept, by language."""
    open_, tokens = opened(work), Counter[str]()
    chosen = examples.merge(part_path(work.folder, "examples", rank) for rank in range(work.num_parts))
    for part in blocks(len(open_.order), BLOCK):
        positions = open_.order.positions[part]
        passed = positions < open_.parts.num_kept
        numbers = np.arange(part.start, part.stop)[passed]
        if not len(numbers):
            continue
        codes = reasons(work, numbers)
        rows = open_.parts.take(positions[passed], ["file", "place", "lang", "tokens"])
        langs = rows.column("lang").to_numpy(zero_copy_only=False)
        for lang in np.unique(langs[codes == 0]).tolist():
            inside = np.flatnonzero((codes == 0) & (langs == lang))
            tokens[lang] += pc.sum(rows.column("tokens").take(inside)).as_py() or 0
            _offer(chosen, work, numbers, rows, inside, (examples.KEPT, "", lang))
        for code in np.unique(codes[codes > 0]).tolist():
            inside = np.flatnonzero(codes == code)
            _offer(chosen, work, numbers, rows, inside, ("dedup", REASONS[code], ""))
    return chosen.sorted(), dict(sorted(tokens.items())) if any(tokens.values()) else {}


def _offer(
    chosen: Examples,
    work: Workspace,
    numbers: np.ndarray,
    rows: pa.Table,
    inside: np.ndarray,
    group: tuple[str, str, str],
) -> None:
    """Offers those rows of a group whose texts are worth fetching."""
    open_, names = opened(work), Names(work)
    stage, reason, lang = group
    found = rows.take(inside)
    files, places = found.column("file").to_pylist(), found.column("place").to_numpy()
    for index in chosen.candidates(stage, reason, lang, files, places):
        number = numbers[inside[index : index + 1]]
        stays = survivors(work, "near")[number]
        detail = other_text = ""
        if stage != examples.KEPT:
            if stays[0] < open_.first_reference:
                detail = names.ids(stays)[0]
                other_text = open_.parts.values("text", open_.order.positions[stays])[0]
            else:
                detail = open_.references.describe(int(stays[0]))
        chosen.offer(
            stage,
            reason,
            lang=found.column("lang")[index].as_py(),
            file=files[index],
            place=int(places[index]),
            id=names.ids(number)[0],
            detail=detail,
            text=open_.parts.values("text", open_.order.positions[number])[0],
            other_text=other_text,
        )

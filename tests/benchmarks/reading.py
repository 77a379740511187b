"""Reading JSON lines to documents, against datatrove's own reader: `python -m tests.benchmarks.reading [MB] [runs]`.

The rows are the good ones of the sample crawl, over and over. `read` is file to row, `document` file to the document
that the pipeline begins with, but for the normalisation of its text, which is no part of datatrove's reader.
"""

import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import zstandard
from datatrove.pipeline.readers import JsonlReader
from datatrove.utils.logging import logger
from tabulate import tabulate

from conan_data.corpus import documents
from conan_data.readers import Row, read_rows
from conan_data.readers.fields import Fields
from conan_data.sources import expand


def main(num_bytes: int, runs: int) -> None:
    logger.disable("datatrove")
    logging.disable(logging.WARNING)
    documents.normalise = lambda text: text
    # The other side ends at a row whose text is no text, and leaves out one without.
    found = (row.values for path in expand(["sample"]) for row in read_rows(path) if isinstance(row, Row))
    rows = [values for values in found if isinstance(values.get("text"), str) and values["text"].strip()]
    content = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    content *= num_bytes // len(content) + 1
    num_rows = content.count(b"\n")
    figures: dict[str, float] = {}
    table = []
    with TemporaryDirectory() as folder:
        for ending, pack in (("jsonl", bytes), ("jsonl.zst", zstandard.compress)):
            path = Path(folder) / f"rows.{ending}"
            path.write_bytes(pack(content))
            sides: dict[str, Callable[[Path], Iterable[object]]] = {
                "read": read_rows,
                "document": lambda path: (documents.to_document(row, Fields()) for row in read_rows(path)),
                "datatrove": lambda path: JsonlReader(str(path.parent), glob_pattern=path.name).run(),
            }
            seconds: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(runs):
                for name, side in sides.items():
                    started = time.process_time()
                    assert sum(1 for _ in side(path)) == num_rows
                    seconds[name].append(time.process_time() - started)
            medians = {name: statistics.median(values) for name, values in seconds.items()}
            for name, median in medians.items():
                table.append([ending, name, len(content) / 1e6 / median, median / num_rows * 1e6])
                figures[f"{name}_{ending.partition('.')[2] or 'plain'}_mb_per_s"] = round(
                    len(content) / 1e6 / median, 1
                )
            figures[f"ratio_{ending.partition('.')[2] or 'plain'}"] = round(
                medians["datatrove"] / medians["document"], 2
            )
    print(tabulate(table, ["file", "what", "MB/s", "us/row"], floatfmt=".2f"))
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(float((sys.argv[1:2] or ["100"])[0]) * 1e6), int((sys.argv[2:3] or ["5"])[0]))

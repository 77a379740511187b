"""How fast build-xlr is: `python -m tests.benchmarks.xlr [--queries N] [--today COMMIT]`.

Prints four figures. `queries_per_minute` and `peak_mb` (processes together) are of a table of translations with all checks,
read from JSON lines and written as a set, with two workers; `ratio_today` is the same build's speed over that of another
commit, on fewer queries, in one run; `endpoint_share` is the speed of 64 requests in flight to a loopback server that answers
after 50 ms, over the ideal 64 / 0.05 s. Input is made of real queries and their human translations, each made different by a
number; without ../shared the benchmark says so and ends.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TLDR = ROOT / ".." / "shared" / "data" / "retrieval" / "tldr"
MIX = [
    "de",
    "fr",
    "es",
    "pt",
    "it",
    "nl",
    "pl",
    "ru",
    "zh",
    "ja",
    "ko",
    "ar",
    "tr",
    "uk",
    "id",
    "hi",
    "bn",
    "fa",
    "sv",
    "da",
    "no",
    "fi",
    "cs",
    "ro",
    "th",
]
LATENCY, IN_FLIGHT = 0.05, 64


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(TLDR / f"{name}.train.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_set(folder: Path, number: int) -> None:
    """A set of `number` queries, each with its human translations."""
    folder.mkdir(parents=True)
    translations: dict[str, list[dict[str, Any]]] = {}
    for row in rows("translations"):
        translations.setdefault(row["query_id"], []).append(row)
    lines = (TLDR / "qrels.train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    documents = dict(line.split("\t")[:2] for line in lines)
    queries = [row for row in rows("queries") if row["_id"] in translations and row["_id"] in documents]
    with open(folder / "corpus.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows("corpus"))
    (folder / "qrels").mkdir()
    with (
        open(folder / "queries.jsonl", "w", encoding="utf-8") as asked,
        open(folder / "translations.jsonl", "w", encoding="utf-8") as translated,
        open(folder / "qrels" / "train.tsv", "w", encoding="utf-8") as judged,
    ):
        judged.write("query-id\tcorpus-id\tscore\n")
        for place in range(number):
            copy, own = divmod(place, len(queries))
            query = queries[own]
            name = f"{query['_id']}#{copy}"
            asked.write(
                json.dumps({**query, "_id": name, "text": numbered(query["text"], copy)}, ensure_ascii=False)
                + "\n"
            )
            judged.write(f"{name}\t{documents[query['_id']]}\t1\n")
            for row in translations[query["_id"]]:
                row = {**row, "query_id": name, "text": numbered(row["text"], copy)}
                translated.write(json.dumps(row, ensure_ascii=False) + "\n")


def numbered(text: str, copy: int) -> str:
    return f"{text.rstrip('.')} {copy}." if copy else text


def build(code: Path, data: Path, out: Path, *, workers: int) -> tuple[float, float]:
    """Return seconds and the peak memory in MB, of all processes together, of a build by the code in a folder."""
    flags = [f"--mix.{language}=1" for language in MIX] + (["--workers", str(workers)] if workers > 1 else [])
    program = "import sys; from conan_data.cli import run; sys.argv[0] = 'conan-data'; run()"
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", program, "build-xlr", "--data", str(data), "--out", str(out), *flags],
        env={**os.environ, "PYTHONPATH": str(code)}, cwd=code, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"the build by {code} ended with exit code {process.returncode}")
    return time.perf_counter() - start, peak


def memory_of(pid: int) -> float:
    """Return the memory of a process and those below it in MB; what they share counts in each."""
    total = 0.0
    try:
        total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return total
    return total + sum(memory_of(int(child)) for child in children)


def endpoint_share(folder: Path, data: Path) -> float:
    """Return the speed of requests to a server with `LATENCY`, over the ideal one."""
    import asyncio

    first: list[float] = []
    last = [0.0]
    num_answers = [0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line[15:])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                await reader.readexactly(length)
                first or first.append(time.perf_counter())
                await asyncio.sleep(LATENCY)
                message = {"role": "assistant", "content": "Ein Satz."}
                body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
                num_answers[0] += 1
                last[0] = time.perf_counter()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    threading.Thread(target=loop.run_forever, daemon=True).start()
    from conan_data.xlr.build import build_xlr
    from conan_data.xlr.config import BuildXlrConfig

    endpoint = {"base_url": f"http://127.0.0.1:{port}/v1", "model": "m", "concurrency": IN_FLIGHT}
    build_xlr(
        BuildXlrConfig(
            out=folder / "endpoint", data=str(data), mix={"de": 1}, translator="endpoint", endpoint=endpoint,
            checks={"skip": ["duplicates"]},
        )
    )  # fmt: skip
    loop.call_soon_threadsafe(loop.stop)
    return num_answers[0] / (last[0] - first[0]) / (IN_FLIGHT / LATENCY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=50_000, help="queries of the comparison")
    parser.add_argument("--today", default="89aa4e7", help="commit to compare with; empty: none")
    arguments = parser.parse_args()
    if not TLDR.is_dir():
        raise SystemExit(f"{TLDR}: no such folder; the benchmark needs its texts")
    found: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_set(folder / "many", arguments.queries)
        seconds, peak = build(ROOT, folder / "many", folder / "out", workers=2)
        found["queries_per_minute"] = round(60 * arguments.queries / seconds)
        found["peak_mb"] = round(peak)
        found["ratio_today"] = None
        if arguments.today:
            code = folder / "today"
            code.mkdir()
            archive = subprocess.run(
                ["git", "archive", arguments.today, "conan_data"], cwd=ROOT, capture_output=True, check=True
            )
            subprocess.run(["tar", "-x", "-C", str(code)], input=archive.stdout, check=True)
            write_set(folder / "few", arguments.few)
            before, _ = build(code, folder / "few", folder / "before", workers=1)
            after, _ = build(ROOT, folder / "few", folder / "after", workers=2)
            found["ratio_today"] = round(before / after, 2)
        write_set(folder / "asked", 20_000)
        found["endpoint_share"] = round(endpoint_share(folder, folder / "asked"), 3)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

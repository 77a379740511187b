"""How files are named in what we publish: a file of the package, or of the Hub's cache, by its place there, since
where these lie on a machine is nobody else's business and must not change the result.
"""

from pathlib import Path

from conan_data import hub

SAMPLE = "sample"
"""The name of the texts that come with the package."""
SAMPLE_DIR = Path(__file__).parent / "sample"


def public_name(path: str | Path) -> str:
    """`sample:crawl/web-001.jsonl.gz`, `hf://datasets/owner/name@commit/data.parquet`; any other path as it is."""
    if Path(path).is_relative_to(SAMPLE_DIR):
        return f"{SAMPLE}:{Path(path).relative_to(SAMPLE_DIR).as_posix()}"
    return hub.cached_name(path) or str(path)

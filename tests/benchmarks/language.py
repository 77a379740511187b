"""Language identification against py3langid itself: `python -m tests.benchmarks.language`.

Ours is all that `build-corpus` does with a text: code and markup stripped, the guess among the configured
languages and among all, the decision. Theirs is py3langid's `classify` alone, on the same whole pages, its
weights converted beforehand, as ours are. Speed is the median of several runs that take turns, one core each.
Accuracy is the mean over languages of the share of texts that get their true language and nothing else, on
whole pages and on the first sentence of command pages.
"""

import argparse
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from conan_data.language.identify import identify, load_identifier
from conan_data.language.labels import read_label
from conan_data.readers import Row, read_rows

CORPUS = Path(__file__).parents[2] / ".." / "shared" / "data" / "corpus"
MIN_SCORE = 0.4
Labelled = list[tuple[str, str]]


def pages(step: int) -> Labelled:
    """Every `step`th page with its language: what the row says in the command pages, the file's name in the
    Python documentation.
    """
    found = []
    for path in sorted(CORPUS.glob("*.zst")):
        rows = (row for number, row in enumerate(read_rows(path)) if number % step == 0)
        for row in rows:
            assert isinstance(row, Row)
            metadata = row.values["metadata"]
            lang = metadata["lang"] if path.name.startswith("tldr") else path.name.split(".")[1]
            found.append((read_label(lang), row.values["text"]))
    return found


def descriptions(found: Labelled) -> Labelled:
    """The first sentences of command pages (`> What it does.`); pages that only name an alias have none."""
    sentences = []
    for lang, text in found:
        line = re.search(r"^> (.+)", text, re.MULTILINE)
        if line and text.count("\n> ") > 1:
            sentences.append((lang, line.group(1)))
    return sentences


def accuracy(guess: Callable[[str], str], texts: Labelled) -> float:
    right, total = (
        Counter(lang for lang, text in texts if guess(text) == lang),
        Counter(lang for lang, _ in texts),
    )
    return statistics.mean(right[lang] / total[lang] for lang in total)


def seconds(run: Callable[[str], object], texts: Labelled) -> float:
    start = time.perf_counter()
    for _, text in texts:
        run(text)
    return time.perf_counter() - start


def main() -> None:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=20, help="every how many-th page is taken")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    texts = pages(options.step)
    sentences = descriptions(texts)
    languages = frozenset(lang for lang, _ in texts)
    identifier = load_identifier("langid", languages)
    package = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    package.nb_ptc = package.nb_ptc.astype(np.float32)

    def ours(text: str) -> str:
        return identify(text, "", identifier=identifier, languages=languages, min_score=MIN_SCORE).lang

    times: dict[str, list[float]] = {"conan": [], "py3langid": []}
    for _ in range(options.runs):
        times["conan"].append(seconds(ours, texts))
        times["py3langid"].append(seconds(package.classify, texts))
    speed = {name: len(texts) / statistics.median(found) for name, found in times.items()}
    package.set_languages(languages)

    def theirs(text: str) -> str:
        return str(package.classify(text)[0])

    figures = {
        "ratio_py3langid": round(speed["conan"] / speed["py3langid"], 1),
        "accuracy_pages": round(accuracy(ours, texts), 4),
        "accuracy_descriptions": round(accuracy(ours, sentences), 4),
    }
    print(
        f"{len(texts):,} pages of {len(languages)} languages, mean {statistics.mean(len(text.encode()) for _, text in texts):.0f} bytes"
    )
    print(f"{'':12}{'texts/s':>10}{'pages':>10}{'sentences':>12}")
    print(
        f"{'conan':12}{speed['conan']:>10,.0f}{figures['accuracy_pages']:>10.4f}{figures['accuracy_descriptions']:>12.4f}"
    )
    print(
        f"{'py3langid':12}{speed['py3langid']:>10,.0f}{accuracy(theirs, texts):>10.4f}{accuracy(theirs, sentences):>12.4f}"
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# trafilatura keeps the headings of a page, or none of them, by the name of the element around the text.
#
# Versions: trafilatura 2.3.1 with lxml_html_clean 0.4.5, Python 3.11, CPU.
# Guess:    A page of well-formed <h1>, <h2> and <p> gives its headings, whatever the element around them is called;
#           or a long page gives at least as many as a short one.
# Seen:     The same 26 headings are all in the text when <article> lies around it, and none are when the text lies in
#           <body>, in <section>, or in <div class="chapter"> (DocBook) or <div class="mw-parser-output"> (MediaWiki).
#           favor_recall brings most of them back for short pages of <div class="chapter">, and none for long ones.
# Why:      Headings are collected only inside of containers whose class or id is in its list (article, main, content,
#           post, ...). Without one, paragraphs, code and tables are collected from the whole page, headings are not;
#           no option and no count of characters in the output shows it, since all paragraphs are there.
# Do:       Put the headings back by their sections (mark the paragraphs before the extraction), or lay <article> around
#           the body, which is enough for pages whose headings hold no anchors. Measure the share of headings kept.
# Exits with 1 when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet trafilatura==2.3.1 lxml_html_clean==0.4.5
"$work/venv/bin/python" - <<'PYTHON'
import random
import sys

import trafilatura

rng = random.Random(0)
words = "harbour letter sailor family mill winter garden bridge market river stone lantern window".split()


def paragraph() -> str:
    return " ".join(" ".join(rng.choices(words, k=12)).capitalize() + "." for _ in range(3))


def share(before: str, after: str, num_sections: int, **options: bool) -> float:
    headings = [f"Section {number} {rng.choice(words)}" for number in range(num_sections + 1)]
    body = f"<h1>{headings[0]}</h1><p>{paragraph()}</p>"
    body += "".join(f"<h2>{heading}</h2><p>{paragraph()}</p><p>{paragraph()}</p>" for heading in headings[1:])
    page = f"<html><head><title>T</title></head><body>{before}{body}{after}</body></html>"
    text = trafilatura.extract(page, include_comments=False, **options) or ""
    assert text.count(".") >= 3 * (2 * num_sections + 1), "paragraphs are missing"
    return sum(heading in text.split("\n") for heading in headings) / len(headings)


known = share("<article>", "</article>", 25)
containers = [("", ""), ("<section>", "</section>"), ('<div class="chapter">', "</div>")]
containers.append(('<div class="mw-parser-output">', "</div>"))
unknown = [share(*container, 25) for container in containers]
recall = share('<div class="chapter">', "</div>", 25, favor_recall=True)
print("article", known, "others", unknown, "others with favor_recall", recall)
sys.exit(0 if known == 1 and not any(unknown) and recall == 0 else 1)
PYTHON

"""What overflows or overlaps in a page, as Debian's chromium lays it out.

Windows narrower than 500 pixels are not to be had, so each page is laid out in a frame of the width that is asked for;
a script in the page looks at all elements, with everything unfolded, and sends what it finds to the frame around it.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from html import unescape
from pathlib import Path

CHROMIUM = shutil.which("chromium")
_LOOK = """
<script>
addEventListener("load", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
  const found = [], width = document.documentElement.clientWidth;
  const named = node => node.nodeName + "." + (node.getAttribute("class") || "") + " " + node.textContent.trim().slice(0, 40);
  const scrolls = node => ["auto", "scroll", "hidden"].includes(getComputedStyle(node).overflowX);
  const isInside = node => { for (let up = node.parentElement; up && up !== document.body; up = up.parentElement) if (scrolls(up)) return true; return false; };
  if (document.documentElement.scrollWidth > width) found.push("page is " + document.documentElement.scrollWidth + " wide");
  for (const node of document.querySelectorAll("main *")) {
    if (node.closest("svg") && node.nodeName !== "svg") continue;
    const box = node.getBoundingClientRect();
    if (!box.width || isInside(node)) continue;
    if (box.right > width + 1 || box.left < -1) found.push("outside: " + named(node) + " to " + Math.round(box.right));
    if (!scrolls(node) && node.clientWidth && node.scrollWidth > node.clientWidth + 1) found.push("wider than its box: " + named(node));
  }
  for (const node of document.querySelectorAll(".scroll, .wide")) if (getComputedStyle(node).overflowX !== "auto") found.push("does not scroll: " + named(node));
  for (const drawing of document.querySelectorAll("svg")) {
    const frame = drawing.getBoundingClientRect();
    const texts = [...drawing.querySelectorAll("text")].map(node => [node.textContent, node.getBoundingClientRect()]);
    texts.forEach(([text, a], place) => {
      if (a.right > frame.right + 2 || a.left < frame.left - 2 || a.bottom > frame.bottom + 2 || a.top < frame.top - 2) found.push("cut off in a figure: " + text);
      for (const [other, b] of texts.slice(place + 1))
        if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4)
          found.push("overlap in a figure: " + text + " / " + other);
    });
  }
  parent.postMessage({name: location.hash.slice(1), found}, "*");
});
</script>
"""


def faults(pages: Mapping[str, str], width: int, folder: Path) -> dict[str, list[str]]:
    """Return by page what overflows or overlaps at `width` pixels; `pages` are HTML by name."""
    assert CHROMIUM is not None
    frames = ""
    for name, html in pages.items():
        path = folder / f"{name}.html"
        path.write_text(html.replace("</body>", f"{_LOOK}</body>"), encoding="utf-8")
        frames += (
            f'<iframe src="{path.name}#{name}" width="{width}" height="900" style="border: 0"></iframe>\n'
        )
    around = folder / f"frames-{width}.html"
    around.write_text(
        '<!doctype html><meta charset="utf-8"><pre id="out"></pre><script>const all = {};'
        'addEventListener("message", event => { all[event.data.name] = event.data.found;'
        ' document.getElementById("out").textContent = JSON.stringify(all); });</script>' + frames,
        encoding="utf-8",
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=30000", "--dump-dom"]
    size = f"--window-size={max(width, 500) + 50},900"
    profile = f"--user-data-dir={folder / 'profile'}"
    ran = subprocess.run(
        [CHROMIUM, *options, size, profile, around.as_uri()],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    match = re.search(r'<pre id="out">(.*?)</pre>', ran.stdout, re.DOTALL)
    assert match is not None, ran.stderr[-500:]
    found = json.loads(unescape(match[1]))
    assert found.keys() == pages.keys(), f"pages that did not load: {pages.keys() - found.keys()}"
    return found

"""Photograph explanations in Debian's Chromium for README and docs: ``python docs/make_screenshots.py``.

Needs chromium and chromedriver (``apt-get install chromium chromium-driver``) and Pillow, which makes the files small.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from laterank import Reranker

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "tests"))

from chromium import Chromium, chromium  # the browser tests' own driver

QUERY = "Which planet is known as the Red Planet?"
DOCUMENTS = [
    "Venus is often called Earth's twin because of its similar size and proximity.",
    "Jupiter, the largest planet in our solar system, has a prominent red spot.",
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "Mercury is the smallest planet and the closest to the Sun.",
]
COLOURS = 128
"""Enough for letters with soft edges, and a third of the bytes."""


def photograph(browser: Chromium, page: str, name: str, *, width: int, hover: str | None) -> None:
    """Save a page at twice its size, with the pointer on an element."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page.html")
        path.write_text(page, encoding="utf-8")
        browser.open(path, width=width, scale=2)
        if hover:
            browser.hover(hover)
        whole = Path(folder, "whole.png")
        browser.picture(whole, selector=".laterank")
        picture = Image.open(whole).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        picture.save(IMAGES / name, optimize=True)


if __name__ == "__main__":
    reranker = Reranker.from_pretrained()
    with chromium() as browser:
        browser.dark(on=False)
        one = reranker.explain(QUERY, DOCUMENTS[3]).to_html()
        photograph(browser, one, "explanation.png", width=780, hover='[data-q="9"]')
        ranking = reranker.explain_ranking(QUERY, DOCUMENTS, top_n=3).to_html()
        photograph(browser, ranking, "ranking.png", width=780, hover=None)

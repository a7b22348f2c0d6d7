"""What mkdocs does beside building: the repository's own CONTRIBUTING.md and CHANGELOG.md become pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
LINK = re.compile(r"\[([^\]]+)\]\((?!https?://)([^)]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the repository's file in place of a page that stands for it."""
    name = PAGES.get(page.file.src_uri)
    return markdown if name is None else LINK.sub(_relink, (ROOT / name).read_text(encoding="utf-8"))


def _relink(link: re.Match[str]) -> str:
    """Lead a link of the repository to a page; what is none stays as words."""
    text, target = link.groups()
    if target.startswith("docs/"):
        return f"[{text}]({target.removeprefix('docs/')})"
    pages = {source: page for page, source in PAGES.items()}
    return f"[{text}]({pages[target]})" if target in pages else text

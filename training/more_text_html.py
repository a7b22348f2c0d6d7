"""Reading the prose of HTML documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from more_text_prose import Record, packed, plain_formula

NAMELESS = ("contents", "navigation", "table of contents", "index", "quick links")
NOTES = ("note", "tip", "warning", "caution", "important")
UNWANTED = re.compile(
    r"^(flags|parameters|synopsis|keywords|see also|authors?|references?|bibliography|examples?|source code|"
    r"version history|installation)\b",
    re.IGNORECASE,
)
MENU = re.compile(r"^(Next|Previous|Up|Prev): |\[Contents\]|\(source: ")
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
BLOCKS = (*HEADINGS, "p", "li", "dd", "dt", "div", "blockquote", "section", "ul", "ol", "dl", "td")
SKIPPED = (
    *("script", "style", "nav", "pre", "table", "footer"),
    *("svg", "math", "form", "button", "header", "aside"),
)
SKIPPED_CLASSES = re.compile(
    r"^div .*math|sphinxsidebar|related|headerlink|footer|highlight|toctree|contents|toc|navbar|navigation|"
    r"literal-block|"
    r"field-list|sidebar|fancy|breadcrumb|copyright|nosearch|admonition|footnote|citation"
)
SKIPPED_FOR_CLASS = ("div", "a", "ul", "dl", "p", "span")


class Page(HTMLParser):
    """Collects (heading, paragraphs) pairs of one page, without menus, tables, listings and formulas."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sections: list[tuple[str, list[str]]] = [("", [])]
        self.words: list[str] = []
        self.skip: list[str] = []
        self.tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Start skipping at an unwanted element, or end the paragraph at a block."""
        named = dict(attrs)
        classes = f"{named.get('class') or ''} {named.get('role') or ''} {named.get('id') or ''}"
        if self.skip:
            self.skip += [tag] if tag == self.skip[-1] else []
        elif tag in SKIPPED or (tag in SKIPPED_FOR_CLASS and SKIPPED_CLASSES.search(f"{tag} {classes}")):
            self.skip.append(tag)
        elif tag in BLOCKS:
            self.flush()
            self.tag = tag
        elif tag == "img" and "math" in classes:
            self.words.append(plain_formula(named.get("alt") or ""))
        elif tag == "br":
            self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Leave a skipped element, or end the paragraph."""
        if self.skip:
            if tag == self.skip[-1]:
                self.skip.pop()
        elif tag in BLOCKS:
            self.flush()
            self.tag = ""

    def handle_data(self, data: str) -> None:
        """Keep the text of what is not skipped."""
        if not self.skip:
            self.words.append(data)

    def flush(self) -> None:
        """End a paragraph; a heading starts a new section, a definition term or a loose phrase is dropped."""
        text = " ".join(plain_formula("".join(self.words)).replace("¶", "").replace("#", "").split())
        self.words = []
        fewest = 6 if text.endswith((".", ":", "!", "?")) else 25
        if self.tag in HEADINGS:
            if text and text.lower() not in NOTES:
                self.sections.append(("" if text.lower() in NAMELESS else heading(text), []))
        elif self.tag != "dt" and len(text.split()) >= fewest and not MENU.search(text):
            self.sections[-1][1].append(text)


def heading(text: str) -> str:
    """Cut the numbering and the call signature from a heading."""
    text = re.sub(r"^(Chapter|Appendix|Section)?\s*[\dA-Z]{0,3}(\.\d+)*\.?[:\s]+(?=[A-Z])", "", text)
    return text.split("(")[0].strip()


def html_records(text: str) -> Iterator[Record]:
    """Read one HTML page; its first heading is the title."""
    page = Page()
    page.feed(text)
    page.flush()
    named = [(name, paragraphs) for name, paragraphs in page.sections if name]
    title = named[0][0] if named else ""
    if title == "NAME" and named[0][1]:
        title = named[0][1][0].split(" - ")[-1].rstrip(".")
    for name, paragraphs in page.sections:
        if not UNWANTED.search(name):
            section = "" if name == title else name.capitalize() if name.isupper() else name
            yield from packed((title, section, paragraphs))

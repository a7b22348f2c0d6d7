"""Cleaning marked-up text and packing its paragraphs into passages."""

from __future__ import annotations

import re
from collections.abc import Iterator

Record = dict[str, str]
Section = tuple[str, str, list[str]]
SHORTEST, LONGEST, AIM = 40, 220, 150
BOILERPLATE = re.compile(
    r"all rights reserved|permission is granted|free software foundation|without warranty|redistribut|"
    r"licensed under|copyright \(?c\)|©|click here|this page (was|is)|generated (by|on)|mailing list|"
    r"table of contents|\bsphinx\b|previous topic|lorem ipsum|spdx",
    re.IGNORECASE,
)
HOLE = re.compile(
    r"\(\s*(and|or|,|\))|\s[,.;]\s| and (is|are|and) |"
    r"\b(and|of|by|between|where|are|is|if|for|the|with)\s+[,.;:)]"
)
COMMON = frozenset(("the", "a", "an", "of", "to", "is", "in", "and", "for", "with", "by", "as"))
FIELDS = re.compile(
    r"[ \t>=|:@]|\.\.|\+-|(Args|Arguments|Parameters|Returns|Raises|Yields|Attributes|Examples?|Inputs?):"
)
ROLE = re.compile(r":[\w.+:-]+:`~?\.?([^`<]*?)(?:\s*<[^`>]*>)?`")
LINK = re.compile(r"`([^`<]+?)\s*<[^>`]+>`_{0,2}")


def packed(section: Section, shortest: int = SHORTEST) -> Iterator[Record]:
    """Join neighbouring paragraphs of one section up to about 150 words; cut those over 220 at sentences."""
    title, name, paragraphs = section
    waiting: list[str] = []
    size = 0
    for piece in [piece for paragraph in paragraphs for piece in pieces(paragraph)]:
        words = len(piece.split())
        if size and (size >= AIM or size + words > LONGEST):
            yield from passage(title, name, waiting, shortest)
            waiting, size = [], 0
        waiting.append(piece)
        size += words
    yield from passage(title, name, waiting, shortest)


def pieces(paragraph: str) -> list[str]:
    """Cut a paragraph of more than 220 words at sentence ends."""
    if len(paragraph.split()) <= LONGEST:
        return [paragraph]
    found = [""]
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", paragraph):
        if found[-1] and len(found[-1].split()) + len(sentence.split()) > AIM:
            found.append("")
        found[-1] = f"{found[-1]} {sentence}".strip()
    return found


def passage(title: str, name: str, paragraphs: list[str], shortest: int) -> Iterator[Record]:
    """Give one record when the text reads as prose."""
    text = "\n".join(paragraphs)
    if title and shortest <= len(text.split()) <= LONGEST and is_prose(text):
        yield {"title": title, "section": name, "text": text}


def is_prose(text: str) -> bool:
    """Tell English sentences from lists of symbols, numbers and boilerplate."""
    letters = sum(char.isalpha() or char in " \n,.'-" for char in text) / len(text)
    words = text.lower().split()
    common = sum(word in COMMON for word in words) / len(words)
    return letters > 0.93 and common > 0.15 and not BOILERPLATE.search(text) and not HOLE.search(text)


def plain_formula(text: str) -> str:
    """Take the marks of LaTeX formulas out, so that short formulas stay readable."""
    text = re.sub(
        r"\\[()\[\]]|\\(?:mathrm|mathbf|mathcal|text|rm|left|right|boldsymbol|,|;|!)(?![a-z])", "", text
    )
    return re.sub(r"\\(?=[A-Za-z])|(?<=[_^])\{|\}", "", text)


def plain_rst(text: str) -> str:
    """Take roles, links, emphasis and footnote marks out of reStructuredText."""
    text = LINK.sub(r"\1", ROLE.sub(r"\1", text))
    text = re.sub(r"``?~?([^`]*)``?_{0,2}", r"\1", re.sub(r"<?https?://\S+", "", text))
    text = re.sub(r"\*\*?([^*\n]+)\*\*?", r"\1", text)
    text = re.sub(r"(\[[\w#]{1,12}\])_|\|(\w+)\||::(?=\s|$)|[-=~^*]{4,}", r"\1\2", text)
    text = plain_formula(re.sub(r"[{}$]", "", text))
    return " ".join(text.split())


def plain_pod(text: str) -> str:
    """Take the letter codes out of Perl's documentation."""
    text = re.sub(r"[XZ]<[^<>]*>", "", text)
    for _ in range(3):
        text = re.sub(r"L<(?:([^<>|]*)\|)?([^<>]*)>", lambda m: m[1] or m[2], text)
        text = re.sub(r"[BCFISE]<<*\s?([^<>]*?)\s?>>*", r"\1", text)
    return " ".join(text.split())


def plain_markdown(text: str) -> str:
    """Take links, citations, emphasis and inline markup out of Markdown."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)|\[([^\]]+)\]\[[^\]]*\]", r"\1\2", text)
    text = re.sub(r"\[?-?@[\w:.;@ -]+\]?|\{[.#][^}]*\}|<[^>]+>|`r [^`]*`", "", text)
    text = re.sub(r"`([^`]*)`", r"\1", text)
    text = re.sub(r"(\*\*?|(?<!\w)_)([^*_\n]+)(\*\*?|_(?!\w))", r"\2", text)
    return " ".join(plain_formula(text.replace("$", "")).split())


def paragraphs_of(doc: str) -> list[str]:
    """Keep the unindented prose paragraphs of a docstring: no directives, examples, listings or tables."""
    kept = []
    after_listing = False
    for block in re.split(r"\n\s*\n", doc):
        indented = block.startswith((" ", "\t"))
        if indented and after_listing:
            continue
        after_listing = block.rstrip().endswith("::") or block.lstrip().startswith("..")
        if FIELDS.match(block) or ">>>" in block:
            continue
        if text := plain_rst(re.sub(r"^\s*[-*#]\s+", "", block, flags=re.MULTILINE)):
            kept.append(text)
    return kept

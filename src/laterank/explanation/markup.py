"""Pieces of HTML: everything that comes from a caller passes through here, and is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.resources import files

from laterank.encoding.reading import Token
from laterank.explanation.wording import displayable, label

__all__ = ["escaped", "name_of", "page", "pairing_rules", "plain_name", "style_element"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""A page loads nothing and runs nothing, whatever is in the documents."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
body {{ margin: 0; background: #ffffff; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #14171f; }} }}
body > .laterank {{ margin: 0 auto; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def escaped(text: str) -> str:
    """Return a text that can stand in an element or an attribute as itself."""
    return escape(displayable(text))


def name_of(token: Token, text: str) -> str:
    """Return what to call a token, with its role where it is none of the caller's words."""
    name, role = label(token, text)
    return f"<bdi>{escaped(name)}</bdi>" + (f' <span class="lr-role">{escaped(role)}</span>' if role else "")


def plain_name(token: Token, text: str) -> str:
    """Return what to call a token, for an attribute."""
    name, role = label(token, text)
    return escaped(f"{name} ({role})" if role else name)


def page(title: str, body: str) -> str:
    """Return a page of its own around a fragment."""
    return PAGE.format(policy=escape(POLICY), title=escaped(title), body=body)


def style_element(*rules: str) -> str:
    """Return the style that a fragment needs, wherever it is put."""
    return f"<style>\n{_stylesheet()}{''.join(rules)}</style>"


def pairing_rules(rows: Iterable[int]) -> str:
    """Return the rules by which pointing at a query token, or focusing it, shows its partner, and the other way round.

    Where one token is focused and another pointed at, the pointer wins.
    """
    shown = "{ background: var(--ink); color: var(--paper); outline: 2px solid var(--ink); }\n"
    rules = []
    for row in rows:
        one, partner = f'.laterank .lr-one:has([data-q="{row}"]', f'[data-d~="{row}"]'
        rules.append(f"{one}:hover) {partner} {shown}")
        rules.append(
            f'.laterank .lr-one:not(:has([data-q]:hover)):has([data-q="{row}"]:focus) {partner} {shown}'
        )
        rules.append(f'.laterank .lr-one:has({partner}:hover) [data-q="{row}"] {shown}')
    return "".join(rules)


@cache
def _stylesheet() -> str:
    return files(__package__).joinpath("explanation.css").read_text(encoding="utf-8")

"""The pages as somebody sees them who sees no hues: the browser draws them so, and the pixels are looked at."""

from itertools import groupby, pairwise
from pathlib import Path

import pytest
from chromium import Chromium
from test_explanation_html import contrast, luminance

ALIKE = 1
"""Shades of one colour, which rounding may part."""
RED = 8
"""The row of the query's ``Red``."""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("page", ["one", "hostile", "rtl", "long", "ranking", "notebook"])
def test_marks_are_told_apart(browser: Chromium, pages: Path, page: str, dark: bool) -> None:
    """A marked token has a line that stands out, and how much of the score it got is the line's width and its ground's
    lightness."""
    grounds: dict[int, set[int]] = {}
    for name, rows in seen(browser, pages / f"{page}.html", ["mark"], dark=dark)[0]:
        level, ground, around = int(name.removeprefix("lr-heat-")), rows[1], rows[0]
        assert rows[-1] == around
        line, width = next((value, len([*run])) for value, run in groupby(rows[::-1]) if value != around)
        assert width == level
        assert min(contrast(grey(line), grey(beside)) for beside in (ground, around)) >= 3
        grounds.setdefault(level, set()).add(ground)
    assert sorted(grounds) == [1, 2, 3, 4]
    assert_apart(grounds, 5)


@pytest.mark.parametrize("dark", [False, True])
def test_similarities_are_told_apart(browser: Chromium, pages: Path, dark: bool) -> None:
    """By the lightness of a query token's ground, beside its number."""
    grounds: dict[int, set[int]] = {}
    for page in ("ranking", "one", "long", "hostile", "rtl"):  # which together have all levels
        for name, rows in seen(browser, pages / f"{page}.html", [".lr-q"], dark=dark)[0]:
            grounds.setdefault(int(name.split()[1].removeprefix("lr-near-")), set()).add(rows[4])
    assert sorted(grounds) == [0, 1, 2, 3, 4]
    assert_apart(grounds, 3)


@pytest.mark.parametrize("dark", [False, True])
def test_the_partner_is_told_apart(browser: Chromium, pages: Path, dark: bool) -> None:
    """Where a query token is pointed at, its partner's ground stands out from all others."""
    marks = [f".lr-passage mark{how}" for how in (f'[data-d~="{RED}"]', f':not([data-d~="{RED}"])')]
    [(_, partner)], others = seen(browser, pages / "one.html", marks, dark=dark, hover=f'[data-q="{RED}"]')
    assert len(others) >= 3
    for _, other in others:
        assert contrast(grey(partner[1]), grey(other[1])) >= 3


def seen(
    browser: Chromium, page: Path, selectors: list[str], *, dark: bool, hover: str | None = None
) -> list[list[tuple[str, list[int]]]]:
    """Return the rows of each selector's elements as shades, from one above to one below, with everything opened."""
    browser.dark(on=dark)
    browser.grey(on=True)
    browser.open(page, width=1280)
    browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    if hover:
        browser.hover(hover)
    found = [browser.rows(selector, around=1) for selector in selectors]
    assert all(max(row) - min(row) <= ALIKE for elements in found for _, rows in elements for row in rows)
    return [[(name, [row[1] for row in rows]) for name, rows in elements] for elements in found]


def assert_apart(grounds: dict[int, set[int]], least: float) -> None:
    """Each level has one shade, and the lightness (CIE L*) goes one way by so much from each level to the next."""
    assert all(max(shades) - min(shades) <= ALIKE for shades in grounds.values()), grounds
    shades = [min(grounds[level]) for level in sorted(grounds)]
    lightness = [116 * luminance(grey(shade)) ** (1 / 3) - 16 for shade in shades]
    steps = [after - before for before, after in pairwise(lightness)]
    assert min(steps) >= least or max(steps) <= -least, steps


def grey(shade: int) -> str:
    """Return a shade as a colour."""
    return f"#{shade:02x}{shade:02x}{shade:02x}"

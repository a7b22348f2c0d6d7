"""The page in a real browser: nothing sticks out, nothing complains, and pointing or tabbing shows the partner."""

from itertools import combinations, product
from pathlib import Path

import pytest
from chromium import Chromium
from support_pages import PAGES
from test_explanation_html import contrast

RED = 8
"""The row of the query's ``Red``: two are the start token and the marker."""

SHOWN = """
const inverted = element => getComputedStyle(element).backgroundColor === arguments[0];
return [...document.querySelectorAll('[data-d]')].filter(inverted).map(element => element.dataset.d);
"""
TIPS = """
return [...document.querySelectorAll('.lr-tip')]
  .filter(tip => getComputedStyle(tip).visibility === 'visible').map(tip => tip.textContent);
"""
OVERFLOW = """
const width = document.documentElement.clientWidth;
const clipped = element => element.closest('.lr-bump li, .lr-tip, .lr-hint, svg, .lr-wide table');
return [document.documentElement.scrollWidth - width,
  [...document.body.querySelectorAll('*')].filter(element => !clipped(element))
    .filter(element => element.getBoundingClientRect().right > width + 1).map(element => element.outerHTML.slice(0, 80))];
"""
COLOURS = """
const opaque = colour => colour !== 'rgba(0, 0, 0, 0)' && colour !== 'transparent';
const hex = colour => '#' + colour.match(/\\d+/g).slice(0, 3).map(one => (+one).toString(16).padStart(2, '0')).join('');
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = new Set();
for (let node = texts.nextNode(); node; node = texts.nextNode()) {
  const element = node.parentElement, plot = element.closest('.laterank-plot');
  if (!node.data.trim() || element.closest('style, title')) continue;
  let behind = element;
  while (behind && !opaque(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  found.add(plot
    ? hex(getComputedStyle(element).fill) + ' ' + hex(getComputedStyle(plot.querySelector('.lp-paper')).fill)
    : hex(getComputedStyle(element).color) + ' ' + hex(getComputedStyle(behind).backgroundColor));
}
return [...found];
"""
POINTS = """
const hex = colour => '#' + colour.match(/\\d+/g).slice(0, 3).map(one => (+one).toString(16).padStart(2, '0')).join('');
const paper = hex(getComputedStyle(document.querySelector('.lp-paper')).fill);
return [...document.querySelectorAll('.laterank-plot circle')].map(point => hex(getComputedStyle(point).fill) + ' ' + paper);
"""
PLOT_BOXES = """
const edges = element => {
  const box = element.getBBox();
  return [element.textContent, box.x, box.x + box.width, box.y, box.y + box.height];
};
return ['text', '.lp-grid, .lp-zero, g'].map(drawn => [...document.querySelector('.laterank-plot').querySelectorAll(drawn)].map(edges));
"""
PLOT_SIZE = "const {width, height} = document.querySelector('.laterank-plot').viewBox.baseVal; return [width, height];"
INK = {False: "rgb(31, 36, 48)", True: "rgb(236, 238, 243)"}


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("page", PAGES)
def test_nothing_sticks_out_and_nothing_complains(
    browser: Chromium, pages: Path, page: str, width: int
) -> None:
    """Not on a phone, not on a desk, with everything opened, and the console stays empty."""
    browser.open(pages / f"{page}.html", width=width)
    for opened in (False, True):
        browser.run("document.querySelectorAll('details').forEach(one => one.open = arguments[0])", opened)
        assert browser.run(OVERFLOW) == [0, []]
    assert browser.log() == []


@pytest.mark.parametrize("page", ["comparison", "evaluation"])
def test_long_names_leave_room_for_the_numbers(browser: Chromium, pages: Path, page: str) -> None:
    """On a desk no table has to be scrolled."""
    browser.open(pages / f"{page}.html", width=1280)
    hidden = "return [...document.querySelectorAll('.lr-wide')].map(one => one.scrollWidth - one.clientWidth)"
    assert set(browser.run(hidden)) == {0}


@pytest.mark.parametrize("page", ["hostile", "ranking", "comparison", "evaluation"])
def test_injected_markup_is_text(browser: Chromium, pages: Path, page: str) -> None:
    """The browser builds no element of it and shows it to the reader."""
    browser.open(pages / f"{page}.html", width=1280)
    assert browser.run("return document.querySelectorAll('script, img, iframe').length") == 0
    assert browser.run("return document.body.innerText.includes('<script>alert(1)</script>')")


@pytest.mark.parametrize("dark", [False, True])
def test_pointing_at_a_token_shows_its_partner(browser: Chromium, pages: Path, dark: bool) -> None:
    """In the passage, and in words under the query; nothing is shown before."""
    browser.dark(on=dark)
    browser.open(pages / "one.html", width=1280)
    assert browser.run(SHOWN, INK[dark]) == []
    assert browser.run(TIPS) == []
    browser.hover(f'[data-q="{RED}"]')
    [shown] = browser.run(SHOWN, INK[dark])
    assert str(RED) in shown.split()
    [tip] = browser.run(TIPS)
    assert tip.startswith("Red met Red: similarity 0.9")


def test_the_tab_key_shows_partners_one_by_one(browser: Chromium, pages: Path) -> None:
    """Every query token can be reached, in order, and the focus can be seen."""
    browser.open(pages / "one.html", width=1280)
    browser.hover("html")
    for row in range(4):
        browser.press("tab")
        assert browser.run("return document.activeElement.dataset.q") == str(row)
        [shown] = browser.run(SHOWN, INK[False])
        assert str(row) in shown.split()
        assert len(browser.run(TIPS)) == 1
    assert browser.run("return getComputedStyle(document.activeElement).outlineWidth") == "3px"


def test_the_pointer_wins_over_the_focus(browser: Chromium, pages: Path) -> None:
    """One partner at a time."""
    browser.open(pages / "one.html", width=1280)
    browser.press("tab")
    browser.hover(f'[data-q="{RED}"]')
    [shown] = browser.run(SHOWN, INK[False])
    assert str(RED) in shown.split()


def test_pointing_at_the_passage_shows_who_met_it(browser: Chromium, pages: Path) -> None:
    """The other way round."""
    browser.open(pages / "one.html", width=1280)
    browser.hover(f'[data-d~="{RED}"]')
    colour = "return getComputedStyle(document.querySelector(arguments[0])).backgroundColor"
    assert browser.run(colour, f'[data-q="{RED}"]') == INK[False]
    assert browser.run(colour, '[data-q="0"]') != INK[False]


def test_explanations_on_one_page_keep_apart(browser: Chromium, pages: Path) -> None:
    """Three cells of a notebook, two of them the same: only the one pointed at answers."""
    browser.open(pages / "notebook.html", width=1280)
    browser.hover(f'section:nth-of-type(2) [data-q="{RED}"]')
    assert len(browser.run(SHOWN, INK[False])) == 1
    assert browser.run("return document.querySelectorAll('section:nth-of-type(2) .lr-one:hover').length") == 1


def test_cards_open_by_keyboard(browser: Chromium, pages: Path) -> None:
    """Tab, Enter: the explanation of the first document is there, and its tokens follow in the order of tabs."""
    browser.open(pages / "ranking.html", width=360)
    browser.press("tab")
    browser.press("enter")
    assert browser.run("return [...document.querySelectorAll('.lr-card')].map(card => card.open)")[:2] == [
        True,
        False,
    ]
    browser.press("tab")
    assert browser.run("return document.activeElement.dataset.q") == "0"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("page", PAGES)
def test_all_text_has_the_contrast_of_wcag_aa(browser: Chromium, pages: Path, page: str, dark: bool) -> None:
    """As the browser computes the colours, with a token pointed at and everything opened."""
    browser.dark(on=dark)
    browser.open(pages / f"{page}.html", width=1280)
    browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    browser.hover('[data-q="1"], .laterank-plot')
    for pair in browser.run(COLOURS):
        assert contrast(*pair.split()) >= 4.5, pair


@pytest.mark.parametrize("dark", [False, True])
def test_points_of_a_plot_stand_out(browser: Chromium, pages: Path, dark: bool) -> None:
    """By the contrast of 3 that WCAG asks of graphics; a point's name stands beside it."""
    browser.dark(on=dark)
    browser.open(pages / "evaluation.html", width=1280)
    points = browser.run(POINTS)
    assert len(set(points)) == 5
    for pair in points:
        assert contrast(*pair.split()) >= 3, pair


def test_texts_of_a_plot_stay_apart(browser: Chromium, pages: Path) -> None:
    """Whatever models, files and collections are called: within the picture, and no text on another one."""
    browser.open(pages / "evaluation.html", width=1280)
    texts, drawn = browser.run(PLOT_BOXES)
    width, height = browser.run(PLOT_SIZE)
    for name, left, right, top, bottom in texts:
        assert 0 <= left < right <= width, name
        assert 0 <= top < bottom <= height, name
    for (one, *a), (other, *b) in [*combinations(texts, 2), *product(texts, drawn)]:
        assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2], (one, other)

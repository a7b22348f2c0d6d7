"""The page in a real browser: nothing sticks out, nothing complains, and pointing or tabbing shows the partner."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium, chromium, missing
from test_explanation_html import HOSTILE, contrast

from laterank import Reranker
from laterank.evaluation import Collection, Comparison, compare

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not installed: {missing()}")

QUERY = "Which planet is known as the Red Planet?"
DOCUMENTS = [
    "Venus is often called Earth's twin.",
    "unbreakable" * 60,
    f"{HOSTILE} Mars is the Red Planet.",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "الكوكب الأحمر هو المريخ 🚀 日本語の文章 " * 10,
    "",
    "planet " * 400,
]
PAGES = ["one", "hostile", "unbreakable", "rtl", "long", "ranking", "notebook", "comparison"]
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
  if (!node.data.trim() || node.parentElement.closest('style')) continue;
  let behind = node.parentElement;
  while (behind && !opaque(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  found.add(hex(getComputedStyle(node.parentElement).color) + ' ' + hex(getComputedStyle(behind).backgroundColor));
}
return [...found];
"""
INK = {False: "rgb(31, 36, 48)", True: "rgb(236, 238, 243)"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """Start one browser for all tests."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the pages."""
    folder = tmp_path_factory.mktemp("pages")
    model = Reranker.from_pretrained(threads=1)
    mars = model.explain(QUERY, DOCUMENTS[3])
    found = {
        "one": mars.to_html(),
        "hostile": model.explain(f"{QUERY} {HOSTILE}", DOCUMENTS[2]).to_html(),
        "unbreakable": model.explain("unbreakable" * 30, DOCUMENTS[1]).to_html(),
        "rtl": model.explain("ما هو الكوكب الأحمر؟", DOCUMENTS[4]).to_html(),
        "long": model.explain(QUERY, DOCUMENTS[6]).to_html(),
        "ranking": model.explain_ranking(QUERY, DOCUMENTS, top_n=3).to_html(),
        "comparison": compared(model).to_html(),
        "notebook": "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<link rel=icon href='data:,'><style>.output.output ol, .output.output p { padding-left: 2em }"
        ".output tr:nth-child(odd), .output tr:hover { background: #222222 }</style><div class=output>"
        + "".join(found._repr_html_() for found in (mars, model.explain(QUERY, DOCUMENTS[0]), mars))
        + "</div>",
    }
    for name, page in found.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return folder


def compared(model: Reranker) -> Comparison:
    """Compare a model with a part of itself on texts that try to be markup, or to stick out."""
    collection = Collection(
        HOSTILE,
        dict(zip("abcdef", DOCUMENTS, strict=False)),
        {HOSTILE: QUERY, "q": f"{'hot' * 60} {HOSTILE}"},
    )
    small = Reranker.from_pretrained(truncate_dim=2, threads=1)
    run = {query: list(collection.documents) for query in collection.queries}
    return compare(collection, {HOSTILE: model, "small": small}, run=run, explained=2)


@pytest.fixture(autouse=True)
def light(browser: Chromium) -> None:
    """Begin each test in the light."""
    browser.dark(on=False)


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("page", PAGES)
def test_nothing_sticks_out_and_nothing_complains(
    browser: Chromium, folder: Path, page: str, width: int
) -> None:
    """Not on a phone, not on a desk, with everything opened, and the console stays empty."""
    browser.open(folder / f"{page}.html", width=width)
    for opened in (False, True):
        browser.run("document.querySelectorAll('details').forEach(one => one.open = arguments[0])", opened)
        assert browser.run(OVERFLOW) == [0, []]
    assert browser.log() == []


@pytest.mark.parametrize("page", ["hostile", "ranking", "comparison"])
def test_injected_markup_is_text(browser: Chromium, folder: Path, page: str) -> None:
    """The browser builds no element of it and shows it to the reader."""
    browser.open(folder / f"{page}.html", width=1280)
    assert browser.run("return document.querySelectorAll('script, img, iframe').length") == 0
    assert browser.run("return document.body.innerText.includes('<script>alert(1)</script>')")


@pytest.mark.parametrize("dark", [False, True])
def test_pointing_at_a_token_shows_its_partner(browser: Chromium, folder: Path, dark: bool) -> None:
    """In the passage, and in words under the query; nothing is shown before."""
    browser.dark(on=dark)
    browser.open(folder / "one.html", width=1280)
    assert browser.run(SHOWN, INK[dark]) == []
    assert browser.run(TIPS) == []
    browser.hover(f'[data-q="{RED}"]')
    [shown] = browser.run(SHOWN, INK[dark])
    assert str(RED) in shown.split()
    [tip] = browser.run(TIPS)
    assert tip.startswith("Red met Red: similarity 0.9")


def test_the_tab_key_shows_partners_one_by_one(browser: Chromium, folder: Path) -> None:
    """Every query token can be reached, in order, and the focus can be seen."""
    browser.open(folder / "one.html", width=1280)
    browser.hover("html")
    for row in range(4):
        browser.press("tab")
        assert browser.run("return document.activeElement.dataset.q") == str(row)
        [shown] = browser.run(SHOWN, INK[False])
        assert str(row) in shown.split()
        assert len(browser.run(TIPS)) == 1
    assert browser.run("return getComputedStyle(document.activeElement).outlineWidth") == "3px"


def test_the_pointer_wins_over_the_focus(browser: Chromium, folder: Path) -> None:
    """One partner at a time."""
    browser.open(folder / "one.html", width=1280)
    browser.press("tab")
    browser.hover(f'[data-q="{RED}"]')
    [shown] = browser.run(SHOWN, INK[False])
    assert str(RED) in shown.split()


def test_pointing_at_the_passage_shows_who_met_it(browser: Chromium, folder: Path) -> None:
    """The other way round."""
    browser.open(folder / "one.html", width=1280)
    browser.hover(f'[data-d~="{RED}"]')
    colour = "return getComputedStyle(document.querySelector(arguments[0])).backgroundColor"
    assert browser.run(colour, f'[data-q="{RED}"]') == INK[False]
    assert browser.run(colour, '[data-q="0"]') != INK[False]


def test_explanations_on_one_page_keep_apart(browser: Chromium, folder: Path) -> None:
    """Three cells of a notebook, two of them the same: only the one pointed at answers."""
    browser.open(folder / "notebook.html", width=1280)
    browser.hover(f'section:nth-of-type(2) [data-q="{RED}"]')
    assert len(browser.run(SHOWN, INK[False])) == 1
    assert browser.run("return document.querySelectorAll('section:nth-of-type(2) .lr-one:hover').length") == 1


def test_cards_open_by_keyboard(browser: Chromium, folder: Path) -> None:
    """Tab, Enter: the explanation of the first document is there, and its tokens follow in the order of tabs."""
    browser.open(folder / "ranking.html", width=360)
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
def test_all_text_has_the_contrast_of_wcag_aa(browser: Chromium, folder: Path, page: str, dark: bool) -> None:
    """As the browser computes the colours, with a token pointed at and everything opened."""
    browser.dark(on=dark)
    browser.open(folder / f"{page}.html", width=1280)
    browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    browser.hover('[data-q="1"]')
    for pair in browser.run(COLOURS):
        assert contrast(*pair.split()) >= 4.5, pair

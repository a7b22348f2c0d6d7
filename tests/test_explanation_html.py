"""The page: well-formed, self-contained, escaped, and readable in both schemes."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import laterank.explanation
from laterank import ColbertEncoder, Reranker
from laterank.encoding.reading import Token
from laterank.explanation.passage import cells

VOID = {"meta", "link", "br", "path"}
ALLOWED = {
    *(
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "section",
        "div",
        "p",
        "span",
        "b",
        "bdi",
        "br",
    ),
    *(
        "small",
        "button",
        "mark",
        "details",
        "summary",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ol",
        "li",
    ),
    *("svg", "path"),
}
HOSTILE = """</style></p><script>alert(1)</script><img src=x onerror="alert(2)"> " ' & &amp; <!-- ]]> \0 \u202e `${x}` {0}"""
QUERY = "Which planet is known as the Red Planet?"
CSS = (Path(laterank.explanation.__file__).parent / "explanation.css").read_text(encoding="utf-8")


class Checker(HTMLParser):
    """Collects tags, attributes and text, and refuses what is not closed or not opened."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.style = "", ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        assert len(attrs) == len(dict(attrs)), attrs
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "path"
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    """Return the model that is in the package."""
    return Reranker.from_pretrained(threads=1)


def pages(model: Reranker, query: str, document: str) -> list[str]:
    one, ranking = model.explain(query, document), model.explain_ranking(query, ["other", document], top_n=1)
    return [one.to_html(), one._repr_html_(), ranking.to_html(), ranking._repr_html_()]


def test_hostile_text_is_shown_as_text(reranker: Reranker) -> None:
    """Neither elements nor attributes come from the texts; the parser reads them back as they were."""
    for page in pages(reranker, f"{QUERY} {HOSTILE}", HOSTILE):
        found = Checker(page)
        assert "<script>alert(1)</script>" in found.text
        assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
        assert "alert" not in found.style


@settings(max_examples=30, deadline=None)
@given(
    text=st.text(st.one_of(st.sampled_from("<>&\"'`=/ a\0\ud800\u202e\n日"), st.characters()), max_size=30)
)
def test_any_text_makes_a_well_formed_page(tiny_encoder: ColbertEncoder, text: str) -> None:
    """And one that can be written as UTF-8."""
    for page in pages(Reranker(tiny_encoder), f"q {text}", text):
        page.encode()
        Checker(page)


def test_the_passage_is_the_document(reranker: Reranker) -> None:
    """Marks cut it into pieces and lose nothing."""
    document = "Mars, known for its  reddish\nappearance: the <Red> Planet e\u0301 👩\u200d🚀 日本."
    page = reranker.explain(QUERY, document).to_html()
    passage = re.search(r'<p class="lr-passage" dir="auto">(.*?)</p>', page, re.DOTALL)
    assert Checker(passage[1]).text == document


def test_nothing_comes_from_elsewhere(reranker: Reranker) -> None:
    """No script, no font, no image: a policy in the page forbids what is not there."""
    for page in pages(reranker, QUERY, HOSTILE):
        found = Checker(page)
        addresses = [
            value
            for _, attributes in found.tags
            for name, value in attributes.items()
            if name in ("src", "href", "action")
        ]
        assert set(addresses) <= {"data:,"}
        assert not re.search(r"url\(|@import|expression", found.style)
    assert "default-src &#x27;none&#x27;" in pages(reranker, QUERY, "a")[0]


def test_a_fragment_is_no_page(reranker: Reranker) -> None:
    """A notebook has its own head and body; ids would clash where two are on one page."""
    for fragment in pages(reranker, QUERY, "Mars")[1::2]:
        found = Checker(fragment)
        assert not {"html", "head", "body"} & {tag for tag, _ in found.tags}
        assert not [attributes for _, attributes in found.tags if "id" in attributes]


def test_every_rule_stays_inside(reranker: Reranker) -> None:
    """A notebook's other cells keep their looks."""
    style = Checker(reranker.explain_ranking(QUERY, ["a", "b"])._repr_html_()).style
    plain = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    for selectors in re.findall(r"([^{}]+)\{", plain):
        if not selectors.strip().startswith("@"):
            assert all(one.strip().startswith(".laterank") for one in selectors.split(", ")), selectors


def test_every_query_row_has_its_button_and_its_partner(reranker: Reranker) -> None:
    """The numbers on both sides pair them."""
    explanation = reranker.explain(QUERY, "Mars is the Red Planet.")
    found = Checker(explanation.to_html())
    buttons = {int(attributes["data-q"]) for tag, attributes in found.tags if tag == "button"}
    partners = [int(row) for _, attributes in found.tags for row in (attributes.get("data-d") or "").split()]
    assert buttons == set(range(len(explanation.matches)))
    assert sorted(partners) == sorted(buttons)
    for row in buttons:
        assert f'[data-d~="{row}"]' in found.style


def test_the_names_say_it_all(reranker: Reranker) -> None:
    """A screen reader gets token, partner, similarity and share from the button."""
    page = reranker.explain(QUERY, "Mars is the Red Planet.").to_html()
    assert re.search(r'aria-label="Red met Red, similarity 0\.\d\d, \d+\.\d% of the score"', page)


def test_the_unread_end_is_told_apart(tiny_reranker: Reranker) -> None:
    """How much was read, and the start of what was not."""
    page = tiny_reranker.explain("planet", "planet " * 400).to_html()
    assert "Only the first 314 of the document's 2,800 characters (48 tokens) were read." in page
    assert Checker(page).text.count("planet") < 120


def test_a_query_runs_in_its_own_direction(reranker: Reranker) -> None:
    """Though the start token's name is Latin."""
    assert '<div class="lr-tokens" dir="rtl">' in reranker.explain("(ما هو?)", "a").to_html()
    assert '<div class="lr-tokens" dir="ltr">' in reranker.explain("12 what ما", "a").to_html()


def test_tokens_that_share_characters_share_a_cell() -> None:
    """Bytes of one emoji, or a blank that a vocabulary made up."""
    tokens = [
        Token("▁", "text", 0, 0),
        Token("日", "text", 0, 1),
        Token("x", "marker"),
        Token("ð", "text", 2, 3),
        Token("Ł", "text", 2, 3),
        Token("a", "text", 3, 4),
    ]
    assert [(cell.start, cell.end, cell.positions) for cell in cells(tokens)] == [
        (0, 1, (0, 1)),
        (2, 3, (3, 4)),
        (3, 4, (5,)),
    ]


# --- contrast -------------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the ratio as WCAG 2.2 defines it."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def schemes() -> list[dict[str, str]]:
    light, dark = re.findall(r"\.laterank \{\s*(--paper.*?--near-4: #\w+)", CSS, re.DOTALL)
    return [dict(re.findall(r"--([\w-]+): (#\w{6})", scheme)) for scheme in (light, dark)]


@pytest.mark.parametrize("scheme", schemes(), ids=["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(scheme: dict[str, str]) -> None:
    """At least 4.5 for text, 3 for lines that mean something."""
    backgrounds = ["paper", "card", *(name for name in scheme if name.startswith(("heat", "near")))]
    for name in backgrounds:
        assert contrast(scheme["ink"], scheme[name]) >= 4.5, name
    for name in ("muted", "accent", "falling"):
        assert contrast(scheme[name], scheme["paper"]) >= 4.5, name
        assert contrast(scheme[name], scheme["card"]) >= (4.5 if name == "muted" else 3), name


@pytest.mark.parametrize("scheme", schemes(), ids=["light", "dark"])
def test_heat_is_a_scale_without_its_hue(scheme: dict[str, str]) -> None:
    """Each level is darker than the one before on light paper, and lighter on dark."""
    for ramp in ("heat", "near"):
        levels = [luminance(scheme[name]) for name in sorted(scheme) if name.startswith(ramp)]
        assert levels in (sorted(levels), sorted(levels, reverse=True))
        assert len(set(levels)) == len(levels)

"""The reader of biomedical abstracts that training uses."""

from __future__ import annotations

import pytest
from conftest import training_module

BODY = "The receptor binds its ligand in the presence of calcium. " * 8
ARTICLE = """<PubmedArticle><MedlineCitation><Article><Journal><Title>{journal}</Title></Journal>
<ArticleTitle>On <i>the</i> receptor.</ArticleTitle>
<Abstract><AbstractText Label="AIM">{body}</AbstractText><AbstractText>It <b>holds</b>.</AbstractText>
<CopyrightInformation>{terms}</CopyrightInformation></Abstract></Article></MedlineCitation></PubmedArticle>"""


def records(journal: str = "PloS one", terms: str = "", body: str = BODY) -> list[dict[str, str]]:
    """Read a file of one article."""
    article = ARTICLE.format(journal=journal, terms=terms, body=body)
    text = f"<?xml version='1.0'?>\n<PubmedArticleSet>{article}\n</PubmedArticleSet>"
    training_module("more_text_prose")
    return list(training_module("more_text_abstracts").abstract_records(text))


def test_an_abstract_is_read_whole_and_without_marks() -> None:
    wanted = {"title": "On the receptor", "section": "", "text": f"{BODY.strip()} It holds."}
    assert records() == [wanted]


@pytest.mark.parametrize(
    "left_out",
    [
        {"journal": "The Lancet"},
        {"journal": "Frontiersmen"},
        {"terms": "© 2021 The Authors. Published under the terms of the CC BY NC ND 4.0 license."},
        {"terms": "Re-use permitted under CC BY-NC."},
        {"body": "Too short to ask about."},
        {"body": BODY * 8},
    ],
    ids=["another journal", "no prefix", "no derivatives", "not commercial", "short", "long"],
)
def test_what_is_not_under_the_licence_or_of_no_use_is_left_out(left_out: dict[str, str]) -> None:
    assert records(**left_out) == []

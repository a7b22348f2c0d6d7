"""Reading biomedical abstracts: those of journals whose every article is under CC-BY."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from more_text_prose import BOILERPLATE, Record

ARTICLE = re.compile(r"<PubmedArticle>.*?</PubmedArticle>", re.DOTALL)
CC_BY_JOURNALS = re.compile(
    r"(PLoS|Frontiers in|BMC|Communications (?:biology|chemistry|medicine)|Scientific reports|eLife|Cureus|"
    r"BioMed research international|Wellcome open research|Malaria journal|Parasites & vectors|"
    r"Journal of medical Internet research)\b",
    re.IGNORECASE,
)
OTHER_LICENCE = re.compile(r"BY[- ]N[CD]|Non-?Commercial|Non-?Deriv|CC0", re.IGNORECASE)
SHORTEST, LONGEST = 60, 420


def abstract_records(text: str) -> Iterator[Record]:
    """Read whole abstracts out of MEDLINE's XML, article by article: a file of them fills gigabytes as one tree."""
    for found in ARTICLE.finditer(text):
        article = ET.fromstring(found[0])
        journal = article.findtext(".//Journal/Title") or ""
        terms = article.findtext(".//CopyrightInformation") or ""
        if not CC_BY_JOURNALS.match(journal) or OTHER_LICENCE.search(terms):
            continue
        title = plain(article.find(".//ArticleTitle")).rstrip(".")
        body = " ".join(plain(part) for part in article.iterfind(".//Abstract/AbstractText"))
        if title and SHORTEST <= len(body.split()) <= LONGEST and not BOILERPLATE.search(body):
            yield {"title": title, "section": "", "text": body}


def plain(element: ET.Element | None) -> str:
    """Return an element's text without the marks inside it."""
    return "" if element is None else " ".join("".join(element.itertext()).split())

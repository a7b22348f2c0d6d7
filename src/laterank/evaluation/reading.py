"""Reading a collection from a folder as BEIR and TREC have them, or from single files."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from laterank.checks import is_blank
from laterank.errors import CollectionError
from laterank.evaluation.collection import Collection
from laterank.evaluation.judgements import read_judgements
from laterank.evaluation.lines import found_file, json_lines, numbered_lines, refused

__all__ = ["GivenPath", "read_collection"]

GivenPath = str | PathLike[str]

CORPUS = ("corpus.jsonl", "corpus.tsv", "collection.tsv")
QUERIES = ("queries.jsonl", "queries.tsv", "topics.tsv")
QRELS = ("qrels/test.tsv", "qrels.tsv", "qrels.txt", "qrels")
ID_FIELDS = ("_id", "id", "docid", "doc_id", "qid", "query_id")
TEXT_FIELDS = ("text", "contents")
TEXTS = "a JSON object with 'id' (or '_id') and 'text', or in a .tsv file 'id<TAB>text'"


def read_collection(
    folder: GivenPath | None = None,
    *,
    corpus: GivenPath | None = None,
    queries: GivenPath | None = None,
    qrels: GivenPath | None = None,
    split: str | None = None,
    judged: bool = True,
) -> Collection:
    """Read a folder, or single files; a file that is named goes before the folder's.

    A folder has ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/test.tsv`` or ``qrels.tsv``, each with ``.gz`` or without. A
    document's text is its title and its text. With judgements, only queries stay that have a relevant document in the corpus,
    because every measure of the others is zero or undefined; what was left out stands in ``notes``.

    Args:
        folder: Where the files lie; None where corpus and queries are named.
        corpus: Documents: JSON lines, or ``id<TAB>text``.
        queries: Queries, likewise.
        qrels: Judgements, as BEIR or TREC write them.
        split: Which of a BEIR folder's ``qrels/*.tsv`` to take, and no other file; None for the folder's judgements,
            ``qrels/test.tsv`` first.
        judged: False to do without judgements: all queries stay.

    Raises:
        CollectionError: If a file is missing or a line cannot be read, naming file, line and what was expected.
    """
    if folder is not None and not Path(folder).is_dir():
        raise CollectionError(
            f"{folder} is no folder; expected one with corpus.jsonl, queries.jsonl and qrels"
        )
    place = Path(folder) if folder is not None else None
    documents_file = _file(corpus, place, CORPUS, "corpus")
    documents = dict(_texts(documents_file))
    queries_file = _file(queries, place, QUERIES, "queries")
    asked = dict(_texts(queries_file))
    if blank := [query for query, text in asked.items() if is_blank(text)]:
        raise CollectionError(f"{queries_file}: the query {blank[0]!r} is blank; there is nothing to rank by")
    name = (place or documents_file.parent).resolve().name
    if not judged:
        return Collection(name, documents, asked)
    judgements = QRELS if split is None else (f"qrels/{split}.tsv",)
    path = _file(qrels, place, judgements, "qrels")
    collection = Collection(name, documents, asked, read_judgements(path)).judged()
    if not collection.queries:
        raise CollectionError(
            f"{path} judges no query of the queries and no document of the corpus relevant; do the ids fit together?"
        )
    return collection


def _file(given: GivenPath | None, folder: Path | None, names: tuple[str, ...], what: str) -> Path:
    """Return the path that was named, or the folder's."""
    if given is not None:
        return Path(given)
    if folder is None:
        raise CollectionError(f"there is neither a folder nor a file for the {what}; name one of them")
    found = found_file(folder, *names)
    if found is None:
        there = sorted(path.relative_to(folder).as_posix() for path in folder.glob("**/*") if path.is_file())
        listed = f"it holds {', '.join(there[:8])}" if there else "it is empty"
        expected = " or ".join(f"{name}[.gz]" for name in names)
        raise CollectionError(
            f"{folder} has no {what}: {listed}; expected {expected}, or the file's name: "
            f"{what}= in Python, --{what}-file on the command line"
        )
    return found


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ids and texts.

    Raises:
        CollectionError: If a line has none, or an id comes twice.
    """
    known: dict[str, int] = {}
    tabs = path.name.removesuffix(".gz").endswith((".tsv", ".txt"))
    for number, key, text in _from_columns(path) if tabs else _from_objects(path):
        if key in known:
            raise CollectionError(
                f"{path}:{number}: the id {key!r} is that of line {known[key]}, too; expected each once"
            )
        known[key] = number
        yield key, text
    if not known:
        raise CollectionError(f"{path} is empty; expected lines, each {TEXTS}")


def _from_columns(path: Path) -> Iterator[tuple[int, str, str]]:
    for number, line in numbered_lines(path):
        key, tab, text = line.partition("\t")
        if not tab or not key:
            raise refused(path, number, line, "'id<TAB>text'")
        yield number, key, text


def _from_objects(path: Path) -> Iterator[tuple[int, str, str]]:
    for number, record in json_lines(path):
        key = next((record[field] for field in ID_FIELDS if field in record), None)
        text = next((record[field] for field in TEXT_FIELDS if field in record), None)
        title = record.get("title") or ""
        if not isinstance(key, (str, int)) or not isinstance(text, str) or not isinstance(title, str):
            raise refused(path, number, str(record), TEXTS)
        yield number, str(key), f"{title} {text}".strip()

"""More text for training: the reader of biomedical abstracts, and packages that cannot be had."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def package(folder: Path, name: str) -> Any:
    """Return a package of one manual; its wheel lies where downloads are looked for, but for a name with "gone" in it."""
    sources = training_module("more_text_sources")
    archive = folder / "downloads" / name / f"{name}.whl"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr(f"{name}.txt", f"{name} has a manual of its own. " * 8)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if "gone" in name:
        archive.unlink()

    def parse(text: str) -> Iterator[dict[str, str]]:
        yield {"title": name, "section": "", "text": text.strip()}

    return sources.Package("pip", name, "1", digest, re.compile(r"\.txt$"), parse)


def written(work: Path) -> dict[str, list[str]]:
    """Return the titles in every source's file."""
    found = {}
    for path in (work / "text").glob("*"):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found[path.name.partition(".")[0]] = [json.loads(line)["title"] for line in lines]
    return found


def test_a_source_is_written_once_all_of_its_packages_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that fails for a moment must not make the text smaller for ever."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    more_text = training_module("more_text")
    source = training_module("more_text_sources").Source
    one, gone, other = (package(tmp_path, name) for name in ("one", "gone-today", "other"))
    sources = [source("first", (one, gone)), source("second", (other,))]
    with pytest.raises(
        ValueError, match=r"1 packages could not be had:\n  gone-today: .*[\s\S]*--leave-out NAME"
    ):
        more_text.fetch_more_text(tmp_path, sources=sources)
    assert written(tmp_path) == {"second": ["other"]}
    back = package(tmp_path, "gone-today".replace("gone", "here"))
    sources[0] = source("first", (one, back))
    more_text.fetch_more_text(tmp_path, sources=sources)
    assert written(tmp_path) == {"first": ["one", "here-today"], "second": ["other"]}


def test_a_package_is_left_out_by_name_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    more_text = training_module("more_text")
    source = training_module("more_text_sources").Source
    sources = [source("first", (package(tmp_path, "one"), package(tmp_path, "gone")))]
    with pytest.raises(ValueError, match="--leave-out other: no source has such a package"):
        more_text.fetch_more_text(tmp_path, ["other"], sources)
    more_text.fetch_more_text(tmp_path, ["gone"], sources)
    assert written(tmp_path) == {"first": ["one"]}


def test_the_page_of_licences_names_every_package_in_the_row_that_it_is_read_for() -> None:
    lines = (Path(__file__).parents[1] / "training" / "TEXT.md").read_text(encoding="utf-8").splitlines()
    rows = {
        line.split("|")[1].strip(): set(re.findall(r"[\w.-]+", line))
        for line in lines
        if line.startswith("| ")
    }
    for source in training_module("more_text_sources").SOURCES:
        named = {word.rstrip(".") for word in rows[source.name]}
        assert {package.name for package in source.packages} <= named, source.name


def test_what_a_run_cannot_have_is_told_before_anything_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    more_text = training_module("more_text")
    with pytest.raises(ValueError, match=r"--leave-out nosuch: no source has such a package"):
        more_text.check_names(["scipy", "nosuch"])
    more_text.check_names(["scipy"])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"no apt-get and no dpkg-deb here.*--no-debian"):
        more_text.check_clients([])
    more_text.check_clients(more_text.names_of("apt"))


def test_a_card_names_the_text_that_was_read() -> None:
    """No abstract and no package where none was; as many packages as were not left out."""
    pytest.importorskip("torch", reason="training needs torch")
    card, more_text = training_module("card"), training_module("more_text")
    everything = card.Read.of(passages_only=False, leave_out=[])
    assert f"of {len(more_text.names_of()) - 1} open-source packages" in everything.licences
    assert "abstracts" in everything.licences
    some = card.Read.of(passages_only=False, leave_out=["scipy", card.ABSTRACTS_PACKAGE])
    assert f"of {len(more_text.names_of()) - 2} open-source packages" in some.licences
    assert "abstracts" not in some.licences
    assert card.Read.of(passages_only=True, leave_out=[]).licences == ""
    [wide] = [start for name, start in training_module("starts").STARTS.items() if name == "wide"]
    selection = {"1.5": {"mean": 85.5}}
    assert "biomedical abstracts" in card.recipe_text(wide, selection, everything)
    assert "abstracts" not in card.recipe_text(wide, selection, card.Read(()))

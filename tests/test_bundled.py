"""The model inside the wheel: small, offline, and a real reranker."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support_ranking import DOCUMENTS as PASSAGES
from support_ranking import QUERY

from laterank import ColbertEncoder, Reranker
from laterank.model.files import find_model
from laterank.model.registry import known_model

DOCUMENTS = PASSAGES[:4]


@pytest.fixture(scope="module")
def encoder() -> ColbertEncoder:
    """Return the bundled model."""
    return ColbertEncoder.from_pretrained()


def test_the_right_passage_comes_first() -> None:
    """Four planets and a question whose words are in three of them; answerai-colbert-small-v1 puts the two in the middle 0.004 of 31 apart."""
    ranking = Reranker.from_pretrained().rank(QUERY, DOCUMENTS)
    first, *middle, last = (document.index for document in ranking)
    assert (first, sorted(middle), last) == (1, [2, 3], 0)
    scores = [document.score for document in ranking]
    assert scores[1] - scores[2] < 0.005 < scores[0] - scores[1] < scores[2] - scores[3]


def test_questions_without_a_common_word_find_their_answer() -> None:
    """What a keyword search cannot do."""
    passages = [
        "The refund of the deposit was discussed at the meeting.",
        "You can return any item within 30 days for a full refund.",
        "Opening hours are 9 to 17 on weekdays.",
        "The boiling point of water falls with altitude.",
    ]
    reranker = Reranker.from_pretrained()
    for query, expected in [
        ("How do I get my money back?", 1),
        ("When is the shop closed?", 2),
        ("cooking on a mountain", 3),
    ]:
        assert reranker.rank(query, passages, top_n=1)[0].index == expected


def test_it_needs_no_network_and_no_key() -> None:
    """With every socket forbidden, it loads and ranks."""
    code = (
        "import socket\n"
        "def forbidden(*args, **kwargs): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = forbidden\n"
        "from laterank import Reranker\n"
        f"print(Reranker.from_pretrained().rank({QUERY!r}, {DOCUMENTS!r})[0].index)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "1"


def test_it_is_small_enough_to_carry() -> None:
    """At most 25 MB with all its files."""
    folder = find_model().folder
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 25_000_000


def test_it_says_what_it_is() -> None:
    """Card, licence and notice of what it came from lie beside it."""
    folder = find_model().folder
    assert "all-MiniLM-L6-v2" in (folder / "NOTICE").read_text()
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert "nDCG@10" in (folder / "README.md").read_text()


def test_the_registry_tells_its_size(encoder: ColbertEncoder) -> None:
    """What the registry says of it is true."""
    known = known_model("bundled")
    assert known is not None
    assert known.embedding_size == encoder.dim
    dense = json.loads((Path(encoder.files.folder) / "1_Dense" / "config.json").read_text())
    assert dense["out_features"] == encoder.dim


def test_batch_mates_do_not_change_its_rows(encoder: ColbertEncoder) -> None:
    """INT8 activations are scaled for one text, so company changes nothing, not even the last bit."""
    together = encoder.encode_documents([*DOCUMENTS, "short", "word " * 400])
    for text, rows in zip(DOCUMENTS, together, strict=False):
        np.testing.assert_array_equal(encoder.encode_documents([text])[0], rows)


def test_it_gives_probabilities_at_every_size_it_was_trained_for(encoder: ColbertEncoder) -> None:
    """An answer is likelier than not, another topic is not, and the ranking stays that of the plain score."""
    dims = encoder.config.matryoshka_dims
    assert dims == (96, 64, 48)
    texts = [*DOCUMENTS, "Opening hours are 9 to 17 on weekdays."]
    for dim in dims:
        ranking = Reranker.from_pretrained(score="probability", truncate_dim=dim).rank(QUERY, texts)
        plain = Reranker.from_pretrained(truncate_dim=dim).rank(QUERY, texts)
        assert [document.index for document in ranking] == [document.index for document in plain]
        found = {document.index: document.score for document in ranking}
        assert found[1] > 0.5 > found[4]
        assert found[4] < 0.05
        assert all(0 <= probability <= 1 for probability in found.values())

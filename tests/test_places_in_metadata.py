"""What both adapters say of a document's place: how much of it was read, and where the first stage had it."""

import json
import pickle
from typing import Any

import pytest
from langchain_core.documents import Document
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from pydantic import ValidationError
from support_frameworks import TINY_MODEL

from laterank import InputError, Reranker
from laterank.langchain import ColbertRerank as LangChainRerank
from laterank.llama_index import ColbertRerank as LlamaIndexRerank

QUERY = "Which planet is known as the Red Planet?"
LONG = " ".join(f"planet {number} is far away, and its {number % 7} moons are cold." for number in range(40))
TEXTS = {
    "venus": "Venus is Earth's twin.",
    "long": LONG,
    "mars": "Mars is red.",
    "rings": "Saturn has rings.",
}
FIRST = {"venus": 0.9, "long": 0.6, "mars": 0.5, "rings": 0.1}
POLICIES = {
    policy: Reranker.from_pretrained(TINY_MODEL, long_documents=policy) for policy in ("truncate", "windows")
}  # type: ignore[arg-type]
POLICIES["uncached"] = Reranker(POLICIES["truncate"].encoder, cache=False)


def documents() -> list[Document]:
    """Make the documents anew, in the first stage's order, with its scores."""
    return [
        Document(id=name, page_content=text, metadata={"score": FIRST[name]}) for name, text in TEXTS.items()
    ]


def nodes() -> list[NodeWithScore]:
    """Make the same as nodes."""
    return [
        NodeWithScore(node=TextNode(id_=name, text=text), score=FIRST[name]) for name, text in TEXTS.items()
    ]


def langchain(policy: str = "truncate", **options: Any) -> dict[str, dict[str, Any]]:
    """Return the metadata that LangChain gets, by id, in their new order."""
    given = documents()
    ranked = LangChainRerank(reranker=POLICIES[policy], top_n=None, **options).compress_documents(
        given, QUERY
    )
    assert given == documents()
    assert json.dumps([document.metadata for document in ranked])
    return {document.id or "": document.metadata for document in ranked}


def llama_index(policy: str = "truncate", **options: Any) -> dict[str, NodeWithScore]:
    """Return the nodes that LlamaIndex gets, by id, in their new order."""
    given = nodes()
    postprocessor = LlamaIndexRerank(reranker=POLICIES[policy], top_n=None, **options)
    ranked = postprocessor.postprocess_nodes(given, query_str=QUERY)
    assert given == nodes()
    assert json.dumps([node.node.metadata for node in ranked])
    return {node.node.node_id: node for node in ranked}


# --- long documents -------------------------------------------------------------------------------------------------


def test_a_truncated_document_says_so_in_its_metadata() -> None:
    """The long one, in both frameworks, and no other."""
    said = {name for name, metadata in langchain().items() if metadata.get("relevance_truncated")}
    assert said == {"long"}
    said = {name for name, node in llama_index().items() if node.node.metadata.get("relevance_truncated")}
    assert said == {"long"}


def test_the_best_window_is_in_the_metadata() -> None:
    """As characters of the text, in a list, which every checkpointer keeps."""
    expected = {place.index: place.window for place in POLICIES["windows"].rank(QUERY, list(TEXTS.values()))}[
        1
    ]
    assert expected is not None
    found = langchain("windows")
    assert [name for name, metadata in found.items() if "relevance_window" in metadata] == ["long"]
    assert found["long"]["relevance_window"] == list(expected)
    ranked = llama_index("windows")
    assert [n for n, node in ranked.items() if "relevance_window" in node.node.metadata] == ["long"]
    assert ranked["long"].node.metadata["relevance_window"] == list(expected)


def test_what_is_said_of_a_node_stays_out_of_its_text() -> None:
    """A second reranker and the LLM read what the first one read; untouched nodes are not even copied."""
    ranked = llama_index(fusion="weighted", keep_retrieval_score=True)
    for name, text in TEXTS.items():
        for mode in (MetadataMode.EMBED, MetadataMode.LLM):
            assert ranked[name].node.get_content(metadata_mode=mode) == text
    given = nodes()
    for node in LlamaIndexRerank(reranker=POLICIES["truncate"], top_n=None).postprocess_nodes(
        given, query_str=QUERY
    ):
        assert any(node.node is known.node for known in given) == (node.node.node_id != "long")


def test_an_older_place_is_forgotten() -> None:
    """Reranking again says what is true now: the window that was read, and no fusion."""
    first = LangChainRerank(reranker=POLICIES["truncate"], top_n=None, fusion="rrf").compress_documents(
        documents(), QUERY
    )
    again = LangChainRerank(reranker=POLICIES["windows"], top_n=None).compress_documents(first, QUERY)
    for document in again:
        assert "relevance_truncated" not in document.metadata
        assert "fused_score" not in document.metadata
    ranked = list(llama_index(fusion="rrf").values())
    for node in LlamaIndexRerank(reranker=POLICIES["windows"], top_n=None).postprocess_nodes(
        ranked, query_str=QUERY
    ):
        assert "relevance_truncated" not in node.node.metadata
        assert node.node.metadata.keys().isdisjoint({"fused_score", "relevance_score"})
    [own] = LlamaIndexRerank(reranker=POLICIES["truncate"]).postprocess_nodes(
        [NodeWithScore(node=TextNode(text="Mars", metadata={"relevance_score": "of another tool"}))],
        query_str=QUERY,
    )
    assert own.node.metadata == {"relevance_score": "of another tool"}


def test_the_policy_is_an_option_of_both_adapters() -> None:
    """It loads the reranker so, travels with it, and does not go together with a loaded one."""
    for adapter in (LangChainRerank, LlamaIndexRerank):
        made = adapter(model=TINY_MODEL, long_documents="windows")
        assert made.reranker.long_documents == "windows"
        assert pickle.loads(pickle.dumps(made)).long_documents == "windows"
        assert adapter(reranker=POLICIES["windows"]).long_documents == "windows"
        with pytest.raises(ValidationError, match="long_documents, not both"):
            adapter(reranker=POLICIES["truncate"], long_documents="windows")
        with pytest.raises(ValidationError):
            adapter(model=TINY_MODEL, long_documents="split")
        with pytest.raises(ValidationError):
            made.long_documents = "error"
    with pytest.raises(InputError, match=r"documents\[1\] has"):
        LangChainRerank(model=TINY_MODEL, long_documents="error").compress_documents(documents(), QUERY)


@pytest.mark.parametrize("adapter", [LangChainRerank, LlamaIndexRerank])
def test_the_overlap_of_windows_is_an_option_of_both_adapters(adapter: Any) -> None:
    """It loads a model, survives a pickle, is shown for a reranker that is given, and has its bounds."""
    overlap = {"long_documents": "windows", "window_overlap": 0.5}
    made, given = adapter(model=TINY_MODEL, **overlap), Reranker.from_pretrained(TINY_MODEL, **overlap)
    for one in (made, pickle.loads(pickle.dumps(made)), adapter(reranker=given)):
        assert one.window_overlap == one.reranker.window_overlap == 0.5
    quarter = Reranker(given.encoder, long_documents="windows")
    assert made.reranker.warm([LONG]) == given.warm([LONG])
    assert given.warm([LONG]).known > quarter.warm([LONG]).encoded
    assert adapter(model=TINY_MODEL).window_overlap == 0.25
    with pytest.raises(ValidationError, match="window_overlap, not both"):
        adapter(reranker=given, window_overlap=0.5)
    for wrong in (-0.1, 1.0, "much"):
        with pytest.raises(ValidationError, match="window_overlap"):
            adapter(model=TINY_MODEL, window_overlap=wrong)


# --- early exit -----------------------------------------------------------------------------------------------------


def test_a_document_that_was_not_read_says_so() -> None:
    """Its score alone could be that of a blank one; reranking again forgets it."""
    said = {
        name: metadata.get("relevance_scored") for name, metadata in langchain("uncached", budget=2).items()
    }
    assert said == {"venus": None, "long": None, "mars": False, "rings": False}
    ranked = llama_index("uncached", budget=2)
    said = {name: node.node.metadata.get("relevance_scored") for name, node in ranked.items()}
    assert said == {"venus": None, "long": None, "mars": False, "rings": False}
    assert ranked["mars"].score == -1.0
    assert ranked["mars"].node.get_content(metadata_mode=MetadataMode.EMBED) == TEXTS["mars"]
    again = LlamaIndexRerank(reranker=POLICIES["truncate"], top_n=None).postprocess_nodes(
        list(ranked.values()), query_str=QUERY
    )
    assert all("relevance_scored" not in node.node.metadata for node in again)


# --- fusion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rrf", "weighted"])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_both_adapters_mix_as_the_reranker_does(kind: Any, weight: float) -> None:
    """The same order, scores, and what the first stage said."""
    expected = POLICIES["truncate"].rank(
        QUERY,
        list(TEXTS.values()),
        fusion=kind,
        fusion_weight=weight,
        first_stage_scores=list(FIRST.values()),
    )
    names = [list(TEXTS)[place.index] for place in expected]
    metadata = langchain(fusion=kind, fusion_weight=weight)
    ranked = llama_index(fusion=kind, fusion_weight=weight)
    assert list(metadata) == names == list(ranked)
    for name, place in zip(names, expected, strict=True):
        said = {
            "fused_score": pytest.approx(place.fused),
            "relevance_score": pytest.approx(place.score, abs=1e-6),
            "retrieval_rank": place.index + 1,
            "retrieval_score": FIRST[name],
        }
        assert metadata[name].items() >= {"score": FIRST[name], **said}.items()
        assert ranked[name].node.metadata.items() >= said.items()
        assert ranked[name].score == pytest.approx(place.fused)


def test_reciprocal_ranks_need_no_scores() -> None:
    """What has none is known by its rank alone."""
    bare = [Document(text) for text in TEXTS.values()]
    adapter = LangChainRerank(reranker=POLICIES["truncate"], top_n=None, fusion="rrf", fusion_weight=0)
    ranked = adapter.compress_documents(bare, QUERY)
    assert [document.page_content for document in ranked] == list(TEXTS.values())
    assert [document.metadata["retrieval_rank"] for document in ranked] == [1, 2, 3, 4]
    assert all("retrieval_score" not in document.metadata for document in ranked)
    unscored = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS.values()]
    found = LlamaIndexRerank(reranker=POLICIES["truncate"], fusion="rrf").postprocess_nodes(
        unscored, query_str=QUERY
    )
    assert all("retrieval_score" not in node.node.metadata for node in found)


def test_a_weighted_fusion_without_scores_says_where_it_looked() -> None:
    """By position, with the way out."""
    bare = [*documents()[:2], Document("Mars")]
    adapter = LangChainRerank(reranker=POLICIES["truncate"], fusion="weighted")
    with pytest.raises(InputError, match=r"number 2 has none in metadata\['score'\] \(retrieval_score_key\)"):
        adapter.compress_documents(bare, QUERY)
    with pytest.raises(InputError, match="number 0 has none"):
        adapter.rerank(["Mars", "Venus"], QUERY)
    unscored = [*nodes()[:1], NodeWithScore(node=TextNode(text="Mars"))]
    with pytest.raises(InputError, match=r"number 1 has none \(node.score\)"):
        LlamaIndexRerank(reranker=POLICIES["truncate"], fusion="weighted").postprocess_nodes(
            unscored, query_str=QUERY
        )


def test_the_key_of_langchain_s_score_can_be_named() -> None:
    """Vector stores call it what they like; dictionaries have metadata, too."""
    given = [Document(text, metadata={"similarity": FIRST[name]}) for name, text in TEXTS.items()]
    adapter = LangChainRerank(
        reranker=POLICIES["truncate"],
        top_n=None,
        fusion="weighted",
        fusion_weight=0,
        retrieval_score_key="similarity",
    )
    assert [d.page_content for d in adapter.compress_documents(given, QUERY)] == list(TEXTS.values())
    forms = [{"text": d.page_content, "metadata": d.metadata} for d in given]
    assert [result["index"] for result in adapter.rerank(forms, QUERY)] == [0, 1, 2, 3]


def test_the_threshold_of_an_adapter_is_one_of_the_reranker_s_scores() -> None:
    """Also where another number sorts."""
    alone = {name: metadata["relevance_score"] for name, metadata in langchain().items()}
    threshold = sorted(alone.values())[2]
    kept = set(langchain(fusion="rrf", score_threshold=threshold))
    assert kept == {name for name, score in alone.items() if score >= threshold}
    assert set(llama_index(fusion="rrf", score_threshold=threshold)) == kept


@pytest.mark.parametrize(
    "options", [{"fusion": "mean"}, {"fusion_weight": 1.5}, {"fusion_weight": float("nan")}]
)
def test_a_fusion_that_cannot_be_is_refused_when_the_adapter_is_built(options: dict[str, Any]) -> None:
    """And when it is set later."""
    for adapter in (LangChainRerank, LlamaIndexRerank):
        with pytest.raises(ValidationError):
            adapter(reranker=POLICIES["truncate"], **options)
        made = adapter(reranker=POLICIES["truncate"])
        for name, value in options.items():
            with pytest.raises(ValidationError):
                setattr(made, name, value)

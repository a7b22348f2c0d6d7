"""The FastAPI example, over ASGI in this process and once as its reader starts it."""

import asyncio
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import httpx
import pytest
import pytest_asyncio
from support_examples import EXAMPLES
from support_frameworks import ANSWER, PASSAGES, QUESTION, bundled_reranker

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENTS = list(PASSAGES.values())
RIGHT = list(PASSAGES).index(ANSWER)


@pytest.fixture(scope="module")
def service() -> ModuleType:
    """Import the example."""
    spec = importlib.util.spec_from_file_location("example_service", EXAMPLES / "service.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(service: ModuleType) -> AsyncIterator[httpx.AsyncClient]:
    """Start the service in this process once for all tests, and stop it."""
    transport = httpx.ASGITransport(service.app)
    async with (
        service.lifespan(service.app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client


async def post(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    """Ask for the passages' ranking, or for what ``body`` says instead."""
    content = json.dumps({"query": QUESTION, "documents": DOCUMENTS, **body})
    return await client.post("/rerank", content=content, headers={"Content-Type": "application/json"})


async def test_the_service_ranks_as_the_reranker_does(client: httpx.AsyncClient) -> None:
    """Positions and scores are the reranker's, the answer first."""
    response = await post(client, top_n=3)
    assert response.status_code == 200
    found = [(result["index"], result["relevance_score"]) for result in response.json()["results"]]
    expected = bundled_reranker().rank(QUESTION, DOCUMENTS, top_n=3)
    assert [index for index, _ in found] == [place.index for place in expected]
    assert [score for _, score in found] == pytest.approx([place.score for place in expected], abs=1e-3)
    assert found[0][0] == RIGHT


async def test_documents_come_back_where_they_are_asked_for(client: httpx.AsyncClient) -> None:
    """Otherwise the answer holds none of them."""
    [with_text] = (await post(client, top_n=1, return_documents=True)).json()["results"]
    [without] = (await post(client, top_n=1)).json()["results"]
    assert with_text == {**without, "document": PASSAGES[ANSWER]}


async def test_concurrent_requests_get_what_they_get_alone(client: httpx.AsyncClient) -> None:
    """Requests share one model and mix nothing up."""
    bodies = [{"query": f"{QUESTION} {word}", "top_n": 4} for text in DOCUMENTS for word in text.split()[:2]]
    together = await asyncio.gather(*(post(client, **body) for body in bodies))
    for body, response in zip(bodies, together, strict=True):
        assert response.json() == (await post(client, **body)).json()


async def test_the_service_answers_while_it_computes(client: httpx.AsyncClient) -> None:
    """The event loop is free during a ranking."""
    long_documents = [f"{number} {' '.join(DOCUMENTS)}" for number in range(30)]
    ranking = asyncio.create_task(post(client, documents=long_documents))
    while (await client.get("/health")).json()["requests"] == 0:
        await asyncio.sleep(0)
    health = await client.get("/health")
    assert health.json() == {"status": "ok", "model": "bundled", "requests": 1}
    assert not ranking.done()
    assert (await ranking).status_code == 200


async def test_a_full_service_says_so_and_recovers(service: ModuleType, client: httpx.AsyncClient) -> None:
    """One request too many is told to come later; those that wait are answered."""
    for _ in range(service.AT_ONCE):
        await service.app.state.turns.acquire()
    most = service.AT_ONCE + service.WAITING
    waiting = [asyncio.create_task(post(client)) for _ in range(most)]
    while (await client.get("/health")).json()["requests"] < most:
        await asyncio.sleep(0)
    refused = await post(client)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    for _ in range(service.AT_ONCE):
        service.app.state.turns.release()
    assert {response.status_code for response in await asyncio.gather(*waiting)} == {200}
    assert (await client.get("/health")).json()["requests"] == 0
    assert (await post(client)).status_code == 200


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"query": " \n"}, ["query"]),
        ({"query": "x" * 2_001}, ["query"]),
        ({"query": "\ud800"}, ["query"]),
        ({"documents": "one string"}, ["documents"]),
        ({"documents": ["fine", 3]}, ["documents", 1]),
        ({"documents": ["fine", "x" * 20_001]}, ["documents", 1]),
        ({"documents": ["x"] * 201}, ["documents"]),
        ({"top_n": 0}, ["top_n"]),
        ({"top_k": 3}, ["top_k"]),
    ],
    ids=str,
)
async def test_a_bad_request_says_what_is_wrong(
    client: httpx.AsyncClient, body: dict[str, Any], where: list[Any]
) -> None:
    """Status 422 names the place, and sends no text back."""
    response = await post(client, **body)
    assert response.status_code == 422
    [wrong] = response.json()["detail"]
    assert wrong["loc"] == ["body", *where]
    assert set(wrong) == {"loc", "msg"}


async def test_no_documents_and_blank_ones_are_no_error(client: httpx.AsyncClient) -> None:
    """An empty list stays empty, and a blank document comes last, with a number for a score."""
    assert (await post(client, documents=[])).json()["results"] == []
    results = (await post(client, documents=["", PASSAGES[ANSWER]])).json()["results"]
    assert [result["index"] for result in results] == [1, 0]
    assert results[1]["relevance_score"] == -1


async def test_the_service_starts_as_its_page_says() -> None:
    """uvicorn finds it, loads the model and answers on a port."""
    command = "uvicorn --app-dir examples service:app"
    assert command in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    arguments = [sys.executable, "-m", *command.split(), "--port", "0"]
    server = await asyncio.create_subprocess_exec(*arguments, cwd=EXAMPLES.parent, stderr=subprocess.PIPE)
    assert server.stderr is not None
    try:
        said = ""
        while not (address := re.search(r"running on (http://[\d.]+:\d+)", said)):
            line = await asyncio.wait_for(server.stderr.readline(), timeout=120)
            assert line, said
            said += line.decode()
        async with httpx.AsyncClient(base_url=address[1], timeout=120, trust_env=False) as client:
            assert (await post(client)).json()["results"][0]["index"] == RIGHT
    finally:
        server.terminate()
        await server.communicate()

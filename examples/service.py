"""A reranking service with FastAPI: one model for all requests, an event loop that stays free, bounds on the work.

Start it with ``uvicorn --app-dir examples service:app``. Requests and answers look like those of Cohere's and Jina's
rerank endpoints. A proxy in front should bound the size of a request's body: it is read before it is checked.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from laterank import Reranker

AT_ONCE = 2
"""Rankings that compute at one time: each uses every processor, so more would only wait on each other."""
WAITING = 32
"""Requests that may wait for their turn; the next is told to come back later."""


class RerankRequest(BaseModel):
    """What a client sends; anything else is answered with status 422 and the reason."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]
    documents: list[Annotated[str, StringConstraints(max_length=20_000)]] = Field(max_length=200)
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool = False


class RerankResult(BaseModel):
    """One document's position in the request and its score."""

    index: int
    relevance_score: float
    document: str | None = None


class RerankResponse(BaseModel):
    """The best first."""

    model: str
    results: list[RerankResult]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the model before the first request, once for all."""
    app.state.reranker = Reranker.from_pretrained(long_documents="windows")
    await asyncio.to_thread(app.state.reranker.load)
    app.state.turns = asyncio.Semaphore(AT_ONCE)
    app.state.requests = 0
    yield


app = FastAPI(title="laterank", lifespan=lifespan)


@app.exception_handler(RequestValidationError)
async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
    """Say what is wrong and where, without sending the documents back."""
    wrong = [{"loc": found["loc"], "msg": found["msg"]} for found in error.errors()]
    return JSONResponse({"detail": wrong}, status_code=422)


@app.get("/health")
async def health(request: Request) -> dict[str, Any]:
    """Answer while rankings compute: the event loop is free."""
    return {"status": "ok", "model": request.app.state.reranker.name, "requests": request.app.state.requests}


@app.post("/rerank", response_model_exclude_none=True)
async def rerank(asked: RerankRequest, request: Request) -> RerankResponse:
    """Sort documents by how well they answer the query."""
    state = request.app.state
    if state.requests >= AT_ONCE + WAITING:
        raise HTTPException(503, "too many requests wait; try again later", headers={"Retry-After": "1"})
    state.requests += 1
    try:
        async with state.turns:
            ranking = await asyncio.to_thread(
                state.reranker.rank, asked.query, asked.documents, top_n=asked.top_n
            )
    finally:
        state.requests -= 1
    results = [
        RerankResult(
            index=place.index,
            relevance_score=place.score,
            document=asked.documents[place.index] if asked.return_documents else None,
        )
        for place in ranking
    ]
    return RerankResponse(model=state.reranker.name, results=results)

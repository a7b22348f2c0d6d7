"""PyLate behind a pipe: run by an interpreter that has PyLate and need not have laterank.

``python pylate_server.py FOLDER THREADS`` prints its versions, then answers each line of JSON with one: a list of documents
with its number, and a query over such a list with raw MaxSim.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version

PACKAGES = ("pylate", "torch", "sentence-transformers", "transformers")
LENGTHS = {"query_length": 32, "document_length": 511}


def main() -> None:
    """Load the model and answer until the pipe closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints goes to the messages
    folder, threads = sys.argv[1], int(sys.argv[2])

    import torch
    from pylate import models, rank

    torch.set_num_threads(threads)
    model = models.ColBERT(model_name_or_path=folder, device="cpu", **LENGTHS)
    lists: list[list[str]] = []

    def scores(query: str, documents: list[str], batch_size: int) -> list[float]:
        query_rows = model.encode([query], is_query=True, show_progress_bar=False)
        rows = model.encode(documents, batch_size=batch_size, is_query=False, show_progress_bar=False)
        ids = list(range(len(documents)))
        [ranking] = rank.rerank(
            documents_ids=[ids], queries_embeddings=query_rows, documents_embeddings=[rows]
        )
        found = {int(place["id"]): float(place["score"]) for place in ranking}
        return [found[number] for number in ids]

    def answer(content: object) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    answer({package: version(package) for package in PACKAGES})
    for line in sys.stdin:
        request = json.loads(line)
        if "documents" in request:
            lists.append(request["documents"])
            answer(len(lists) - 1)
        else:
            answer(scores(request["query"], lists[request["list"]], request["batch_size"]))


if __name__ == "__main__":
    main()

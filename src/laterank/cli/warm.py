"""``laterank warm``: a corpus into a cache on disk, ahead of its first query."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from laterank.cli.inputs import STANDARD_INPUT, count_lines, read_records
from laterank.cli.options import (
    Fields,
    Json,
    LongDocuments,
    LongDocumentsChoice,
    Model,
    Offline,
    OnnxFile,
    Quantized,
    Threads,
    make_reranker,
)
from laterank.cli.output import print_json, progress, write

__all__ = ["warm"]


def warm(
    cache: Annotated[
        Path, typer.Option("--cache", metavar="PATH", help="The file that keeps the embeddings; it is made.")
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE", help="Files with a text or a JSON object a line; `-` or none: standard input."
        ),
    ] = None,
    model: Model = "bundled",
    field: Fields = None,
    long_documents: LongDocuments = LongDocumentsChoice.TRUNCATE,
    onnx_file: OnnxFile = None,
    quantized: Quantized = None,
    threads: Threads = None,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Encode documents into a cache, so that no query waits for it.

    Interrupted, it goes on where it was: what the cache has is skipped.
    """
    sources = files or [STANDARD_INPUT]
    reranker = make_reranker(
        model,
        cache=cache,
        long_documents=long_documents,
        onnx_file=onnx_file,
        quantized=quantized,
        threads=threads,
        offline=offline,
    )
    texts = (record.text for record in read_records(sources, names=field))
    with progress("warming", count_lines(sources)) as tell:
        done = reranker.warm(texts, progress=lambda warmed: tell(warmed.documents))
    if json:
        print_json(asdict(done))
    else:
        write(f"{done.documents} documents: {done.encoded} encoded, {done.known} in the cache before")

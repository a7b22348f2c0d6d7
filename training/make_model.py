"""Make the embedded default model from nothing: weights, text, teachers, training, export, measurements, card."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from bundle import INT8_FILE, replace_bundle, write_bundle
from card import Read, recipe_text, write_card
from colbert_teacher import load_teacher
from data import Example, build, read_examples
from encode import OnnxEncoder
from export import check_export, export, numpy_weights
from lend import pack, take
from measure import judged_scores
from memory import share_freed_memory
from model import ColbertModel
from more_text import TEXT, fetch_more_text
from options import arguments, begin_of, stage_folder
from passages import PASSAGES, Passage, build_passages, read_passages
from preflight import COLBERT, CROSS_ENCODER, check_enough
from rank_distil import RankRecipe, ranking_lessons
from relevance import calibrate_relevance
from row_loss import DIMS
from select_model import best_average
from shipped import SHIPPED
from source import fetch_source
from stages import Lessons, both_stages
from starts import STARTS
from technical import TECHNICAL_DEV, build_abstracts, build_technical
from tokens import LAYOUT, SHIPPED_LAYOUT, ColbertTokenizer

from laterank import ColbertEncoder
from laterank.diagnosis.golden import record_golden
from laterank.model.golden import GOLDEN_FILE, write_golden

ROOT = Path(__file__).parent.parent
DIAGRAM = ROOT / "benchmarks" / "results" / "calibration.json"


@dataclass(frozen=True, slots=True)
class Texts:
    """What both training stages read, and the folder that has the tokenizer and the MiniLM weights."""

    source: Path
    train: list[Example]
    dev: list[Example]
    passages: list[Passage]


@dataclass(frozen=True, slots=True)
class Made:
    """A model, how it was chosen, and the token rows that calibrate INT8."""

    model: ColbertModel
    selection: dict[str, dict[str, float]]
    ranges: list[list[int]]


def calibration_rows(examples: list[Example], tokenizer: ColbertTokenizer) -> list[list[int]]:
    """Draw training documents and queries to fit the INT8 ranges on."""
    documents = random.Random(1).sample([text for made in examples for text in made.documents], 400)
    return tokenizer.documents(documents, 160) + tokenizer.queries([made.query for made in examples[:100]])


def texts(options: argparse.Namespace) -> Texts:
    """Download and draw all that is read, once.

    Raises:
        ValueError: If something cannot be had, or there is too little of it.
    """
    source = fetch_source(options.work)
    build(options.data, options.work)
    train_set, dev = (read_examples(options.work / f"{name}.jsonl") for name in ("train", "dev"))
    drawn = all((options.work / name).exists() for name in (TECHNICAL_DEV, PASSAGES))
    more_text = None if options.passages_only else options.work / TEXT
    if more_text and not drawn:
        fetch_more_text(options.work, options.leave_out)
    if more_text:
        build_technical(more_text, options.data, options.work)
        build_abstracts(more_text, options.data, options.work)
        for place in sorted(options.work.glob("*-train.jsonl")):
            train_set += read_examples(place)
            dev += read_examples(place.with_name(place.name.replace("-train", "-dev")))
    passages = read_passages(build_passages(options.data, more_text, options.work))
    check_enough("passages", len(passages), begin_of(options).passages)
    check_enough("training queries", len(train_set), RankRecipe().examples)
    return Texts(source, train_set, dev, passages)


def lessons_of(options: argparse.Namespace, read: Texts) -> Lessons:
    """Return what both training stages read; the cross-encoder scores for minutes, once."""
    scorer = options.teachers / CROSS_ENCODER
    examples, target = ranking_lessons(read.train, scorer, options.work, RankRecipe())
    return Lessons(read.passages[: begin_of(options).passages], examples, target, read.dev)


def make(
    options: argparse.Namespace, read: Texts, tokenizer: ColbertTokenizer, stop_at: float | None
) -> Made:
    """Train the student in two stages and choose between their ends and the average, on development queries."""
    stage, lessons = stage_folder(options), lessons_of(options, read)
    teacher = load_teacher(options.teachers / COLBERT)
    rows, ranked = both_stages(begin_of(options), teacher, read.source, tokenizer, lessons, stage, stop_at)
    ranges = calibration_rows(read.train, tokenizer)
    six_bits = STARTS[options.start].six_bit_words
    model, selection = best_average(
        rows, ranked, tokenizer, ranges, read.dev, stage, options.threads, six_bit_words=six_bits
    )
    return Made(model, selection, ranges)


def main() -> None:
    """Run every stage; each keeps its result in the work folder, so a second run continues."""
    started_at, options = time.time(), arguments(__doc__)
    stop_at = None if options.minutes is None else started_at + 60 * options.minutes
    out = stage_folder(options) / "out"
    out.mkdir(parents=True, exist_ok=True)
    share_freed_memory()
    torch.set_num_threads(1)  # work is shared among Python threads, each on one core
    try:
        read = texts(options)
        if options.take:
            teacher = load_teacher(options.teachers / COLBERT)
            take(options.take, stage_folder(options), teacher, begin_of(options))
        if options.pack:
            lessons, teacher_files = lessons_of(options, read), options.teachers / COLBERT
            tokenizer_file = read.source / "tokenizer.json"
            size = pack(options.pack, begin_of(options), lessons, teacher_files, tokenizer_file)
            lent = options.pack.name
            print(f"{options.pack}: {size:,} bytes; on the other machine:")
            print(f"PYTHONPATH={lent}/code/src python {lent}/code/training/lend.py {lent} --minutes 9")
            return
    except ValueError as error:
        raise SystemExit(f"make_model.py: {error}") from error
    tokenizer = ColbertTokenizer(read.source / "tokenizer.json", LAYOUT)
    made = make(options, read, tokenizer, stop_at)
    paths = export(made.model, made.ranges, out, six_bit_words=STARTS[options.start].six_bit_words)
    tokenizer = ColbertTokenizer(read.source / "tokenizer.json", SHIPPED_LAYOUT)
    unseen = tokenizer.documents([text for one in read.dev[::8] for text in one.documents[:5]])
    facts = check_export(made.model, paths, tokenizer, unseen)
    print(json.dumps(facts), flush=True)
    small = OnnxEncoder(paths[1], tokenizer, options.threads)
    systems: dict[str, OnnxEncoder | None] = {"BM25": None, "this model (INT8)": small}
    if options.fp32:
        systems["this model (fp32)"] = OnnxEncoder(paths[0], tokenizer, options.threads)
    table = judged_scores(options.data / "ir", systems, out / "judged.json")
    weights, calibration = numpy_weights(made.model), calibrate_relevance(small, read.dev, tuple(DIMS), out)
    for folder, path in zip(("fp32", "bundle"), paths, strict=True):
        write_bundle(
            read.source,
            out / folder,
            path,
            weights,
            SHIPPED_LAYOUT,
            tuple(DIMS),
            STARTS[options.start].notice,
        )
    (out / "bundle" / "calibration.json").write_text(
        json.dumps(calibration, indent=2) + "\n", encoding="utf-8"
    )
    start, used = (
        STARTS[options.start],
        Read.of(passages_only=options.passages_only, leave_out=options.leave_out),
    )
    recipe = recipe_text(start, made.selection, used, went_on=options.go_on)
    write_card(out / "bundle", facts, table, recipe, SHIPPED_LAYOUT, tuple(DIMS), start, used)
    print(f"the model is in {out / 'bundle'}", flush=True)
    made_here = ColbertEncoder.from_pretrained(out / "bundle", threads=options.threads)
    write_golden(out / "bundle" / GOLDEN_FILE, record_golden(made_here))
    if options.ship:
        replace_bundle(out / "bundle", SHIPPED)
        shutil.copyfile(out / "calibration_diagram.json", DIAGRAM)
        print(f"shipped {INT8_FILE} to {SHIPPED}")


if __name__ == "__main__":
    main()

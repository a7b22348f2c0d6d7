"""nDCG, reciprocal rank, recall and their like for every query, computed by ir_measures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from laterank.errors import InputError, MissingPackageError
from laterank.evaluation.collection import Collection

__all__ = ["MEASURES", "QueryValues", "measured_values", "parsed_measures"]

MEASURES = ("nDCG@10", "MRR@10", "Recall@10")
"""What is measured where nothing else is asked for."""

QueryValues = dict[str, dict[str, float]]
"""Measure and query to a value."""

NAMES = {"ndcg": "nDCG", "mrr": "RR", "recall": "R", "map": "AP", "success": "Success", "p": "P"}
"""What people call the measures, and what ir_measures does."""
WHOLE = ("nDCG", "RR", "AP")
"""The measures that mean something without a cut-off."""


def measured_values(
    collection: Collection, rankings: Mapping[str, Sequence[str]], measures: Sequence[str] = MEASURES
) -> QueryValues:
    """Return each measure's value for each query, in the order of the collection's queries.

    A query without results counts as 0.

    Raises:
        InputError: If there is no such measure.
        MissingPackageError: If ir_measures is not installed.
    """
    wanted = parsed_measures(measures)
    ir_measures = _ir_measures()
    judged = [
        ir_measures.Qrel(query, document, grade)
        for query, grades in collection.relevant.items()
        for document, grade in grades.items()
    ]
    run = [
        ir_measures.ScoredDoc(query, document, -float(place))
        for query, documents in rankings.items()
        for place, document in enumerate(documents)
    ]
    values: QueryValues = {name: dict.fromkeys(collection.queries, 0.0) for name in wanted}
    names = {str(measure): name for name, measure in wanted.items()}
    for metric in ir_measures.iter_calc(list(wanted.values()), judged, run):
        values[names[str(metric.measure)]][metric.query_id] = metric.value
    return values


def parsed_measures(names: Sequence[str]) -> dict[str, Any]:
    """Return ir_measures' objects by the names that were given, such as ``nDCG@10``, ``MRR@10`` or ``Recall@100``.

    Raises:
        InputError: If there is no such measure, or none at all.
        MissingPackageError: If ir_measures is not installed.
    """
    ir_measures = _ir_measures()
    if isinstance(names, str) or not names:
        raise InputError(f"measures is {names!r}, expected a list such as {list(MEASURES)}")
    parsed: dict[str, Any] = {}
    for name in names:
        found = re.fullmatch(r"(?P<kind>[A-Za-z]+)(?P<cutoff>@[1-9]\d*)?", name)
        kind = NAMES.get(found["kind"].lower()) if found else None
        if found is None or kind is None or (found["cutoff"] is None and kind not in WHOLE):
            raise InputError(
                f"measure {name!r} is unknown; expected nDCG, MRR, MAP, Recall, P or Success with a cut-off, such as nDCG@10"
            )
        measure = ir_measures.parse_measure(f"{kind}{found['cutoff'] or ''}")
        if measure in parsed.values():
            raise InputError(f"measures names {name} twice; expected each once")
        parsed[name] = measure
    return parsed


def _ir_measures() -> Any:
    try:
        import ir_measures
    except ImportError as error:
        raise MissingPackageError(
            "measuring needs ir_measures; install it with: pip install 'laterank[evaluate]'"
        ) from error
    return ir_measures

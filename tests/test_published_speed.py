"""What pages say of speed, against the timings that are kept in the repository."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT / "benchmarks"))

from speed_numbers import best
from speed_report import refresh_page, report

PARTS = json.loads((RESULTS / "speed.json").read_text(encoding="utf-8"))["parts"]


def median(times: Mapping[str, Sequence[float]], prefix: str) -> str:
    """Return the best median of the systems whose names begin so, as README prints it."""
    name = best(times, prefix)
    assert name is not None, prefix
    return f"{np.median(times[name]):,.0f}"


def test_the_report_and_the_page_are_those_of_the_timings() -> None:
    """Neither was changed by hand, and no timing without them."""
    text, page = report(PARTS), (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")
    assert (RESULTS / "speed.md").read_text(encoding="utf-8") == text
    assert refresh_page(page, text) == page


def test_the_readme_prints_the_medians() -> None:
    """Cold of three libraries, what a user would choose, and warm."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    cold, thousand = PARTS["cold"]["found"], PARTS["thousand"]["found"]["d200"]
    columns = [cold["d50"], cold["d200"], thousand]
    short, long, many = (f"{column['tokens_mean']:.0f}" for column in columns)
    assert f"| | 100 passages of {short} tokens | 100 of {long} | 1000 of {many} |" in readme
    versions = PARTS["cold"]["machine"]["versions"]
    pylate = cold["d50"]["pylate"]["pylate"]
    rows = {
        "**laterank**": "laterank, fp32",
        f"fastembed {versions['fastembed']}, its best batch size": "fastembed",
        f"PyLate {pylate}, its best batch size": "PyLate",
    }
    for name, prefix in rows.items():
        cells = " | ".join(median(column["milliseconds"], prefix) for column in columns)
        assert f"| {name} | {cells} |" in readme
    words = " ".join(readme.split())
    choice = PARTS["choice"]["found"]["milliseconds"]
    bundled, fastembed = median(choice, "ColbertRerank()"), median(choice, "fastembed")
    assert f"the bundled model takes {bundled} ms for 100 passages of 200 tokens" in words
    assert f"fastembed with answerai-colbert-small-v1 {fastembed}." in words
    warm = PARTS["warm"]["found"]["bundled model"]
    few, all_of_them = (f"{np.median(warm[count]['call']):.0f}" for count in ("100", "1000"))
    assert f"Cached on disk, 100 passages take {few} ms and 1000 take {all_of_them}." in words


def test_the_page_says_what_the_share_of_the_products_is() -> None:
    """Above the tables, in words: the shares of both lengths in both precisions."""
    page = " ".join((ROOT / "docs" / "measured.md").read_text(encoding="utf-8").split())
    share = {}
    for kind, measured in PARTS["limit"]["found"].items():
        times = {name: float(np.median(taken)) for name, taken in measured["milliseconds"].items()}
        for weights in ("fp32", "INT8"):
            whole, alone = (
                times[f"{weights}, encode_documents"],
                times[f"{weights}, its matrix products alone"],
            )
            share[kind, weights] = f"{100 * alone / whole:.0f}"
    assert f"Short documents in full precision spend {share['d50', 'fp32']}% of the call there" in page
    assert f"With INT8 the share is {share['d50', 'INT8']}%" in page
    assert f"for long documents {share['d200', 'fp32']} and {share['d200', 'INT8']}%" in page

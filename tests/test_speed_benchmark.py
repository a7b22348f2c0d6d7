"""What the speed benchmark computes: ratios, the exponent of growth, what is met, the report, the plot."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import GOLDEN
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from laterank.export import export_model

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from speed_fidelity import why_void
from speed_numbers import at_least, at_most, best, exponent, speed_up
from speed_report import BEGIN, END, machine_facts, refresh_page, report

MAXSIM = {
    str(dim): {
        "documents": 1000,
        "largest_error_of_the_mean": {"float32": 1e-7, "float16": 1e-4, "int8": 1e-3},
        "milliseconds": {
            "maxsim-cpu": [40, 60, 44],
            "float32": [20, 21, 22],
            "float16": [20] * 3,
            "int8": [12] * 3,
        },
    }
    for dim in (128, 96)
}
COLD = {
    "d50": {
        "documents": 100,
        "tokens_mean": 50.0,
        "tokens_range": [35, 65],
        "largest_difference_of_a_score": {"fastembed :1": 1e-6},
        "pylate": None,
        "milliseconds": {
            "laterank, fp32": [50.0],
            "laterank, INT8": [20.0],
            "fastembed :1": [90.0],
            "fastembed :256": [200.0],
        },
    }
}


def part(found: object, command: str = "python benchmarks/speed.py --only maxsim") -> dict[str, object]:
    """Return a part as it is kept."""
    made = {
        "command": command,
        "date": "2026-01-01 00:00 UTC",
        "load": [0.1, 2.0],
        "seconds": 7,
        "threads": 2,
    }
    return {**made, "machine": machine_facts(), "found": found}


@given(st.floats(0.2, 3), st.floats(0.01, 100))
def test_the_exponent_of_a_power_is_found(power: float, factor: float) -> None:
    """``time = a * count^b`` gives ``b``."""
    counts = [10, 30, 100, 1000]
    assert exponent(counts, [factor * count**power for count in counts]) == pytest.approx(power)


def test_ratios_are_of_medians_and_of_the_fastest() -> None:
    """A slow round moves neither by more than its place."""
    assert speed_up([40, 400, 60], [20, 10, 30]) == (3, 4)
    assert best({"peer :1": [5, 9, 9], "peer :8": [7, 7, 7], "ours": [1]}, "peer") == "peer :8"
    assert best({"ours": [1]}, "peer") is None


def test_a_bar_is_met_missed_void_or_not_measured() -> None:
    """What was reached for a wrong reason does not count."""
    assert at_least("a", 2, (2.0, 1.0)).verdict == "met"
    assert at_least("a", 2, (1.99, 3.0)).verdict == "missed"
    assert at_most("a", 2, 2.0).verdict == "met"
    assert at_most("a", 2, 2.1).verdict == "missed"
    assert at_least("a", 2, None).verdict == "not measured"
    assert at_least("a", 2, 3.0, "no").verdict == "does not count: no"
    assert at_least("a", 2, 1.0, "no").verdict == "missed"


@pytest.mark.parametrize(
    ("overlap", "difference", "reason"),
    [
        (None, None, "its top-10 overlap was not measured"),
        (0.92, -0.1, "its top-10 overlap with fp32 is 0.920"),
        (0.94, None, "the nDCG@10 that it loses was not measured"),
        (0.94, -0.31, "it loses 0.31 points of nDCG@10"),
        (0.94, -0.3, ""),
        (0.94, 0.5, ""),
    ],
)
def test_the_speed_of_int8_counts_where_it_keeps_the_ranking_and_the_ndcg(
    overlap: float | None, difference: float | None, reason: str
) -> None:
    """What is missing or over its bar is named."""
    found: dict[str, object] = {}
    if overlap is not None:
        found["top_10_overlap"] = {"squad-dev": overlap}
    if difference is not None:
        found["ndcg"] = {"scifact": {"difference": [difference, -1.0, 1.0]}}
    assert why_void({"fidelity": found}) == reason


def test_the_report_judges_what_was_measured_and_names_what_was_not() -> None:
    """Each part keeps the command that made it."""
    text = report({"maxsim": part(MAXSIM), "cold": part(COLD, "python benchmarks/speed.py --only cold")})
    assert (
        "| MaxSim in memory, float32, 128 numbers a row, against maxsim-cpu | 2.10 (2) | at least 2 | met |"
        in text
    )
    assert (
        "| MaxSim in memory, int8, 96 numbers a row, against maxsim-cpu | 3.67 (3.33) | at least 4 | missed |"
        in text
    )
    assert "laterank, fp32 against fastembed :1 | 1.80 (1.80) | at least 1.60 | met |" in text
    assert "does not count: its top-10 overlap was not measured" in text
    assert "first call after import, Reranker, seconds |  | at most 1 | not measured |" in text
    assert "`python benchmarks/speed.py --only cold`, 2026-01-01" in text
    assert "PyLate is not installed here" in text
    assert "## Worker processes" not in text


def test_a_page_gets_the_report_between_its_marks_and_keeps_the_rest() -> None:
    """Twice gives the same as once."""
    text = report({"maxsim": part(MAXSIM)})
    page = f"# Measured\n\nbefore\n\n{BEGIN}\nreplaced\n{END}\n\n## Another\n"
    once = refresh_page(page, text)
    assert once.startswith("# Measured\n\nbefore\n\n<!--")
    assert once.endswith(f"{END}\n\n## Another\n")
    assert "replaced" not in once
    assert "### MaxSim in memory" in once
    assert refresh_page(once, text) == once
    with pytest.raises(ValueError, match="lacks"):
        refresh_page("# Measured\n", text)


def test_a_run_of_some_parts_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing measured is lost, and a report alone changes no number."""
    pytest.importorskip("matplotlib", reason="matplotlib is in the groups bench and docs")
    import speed

    kept = {"maxsim": part(MAXSIM), "cold": part(COLD)}
    (tmp_path / "speed.json").write_text(json.dumps({"parts": kept}), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["speed.py", "--report", "--results", str(tmp_path)])
    speed.main()
    written = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps({"parts": kept}))
    assert (tmp_path / "speed.md").read_text(encoding="utf-8") == report(written["parts"])
    monkeypatch.setattr(sys, "argv", ["speed.py", "--only", "warm,nothing"])
    with pytest.raises(SystemExit, match="'nothing'"):
        speed.main()


def test_the_plot_takes_the_best_batch_size_at_each_number(tmp_path: Path) -> None:
    """The same numbers give the same file."""
    pytest.importorskip("matplotlib", reason="matplotlib is in the groups bench and docs")
    from speed_plot import draw, series

    cold, warm = "laterank, bundled model", "laterank, bundled model, rows on disk"
    growth = {
        cold: {"10": [100.0, 120.0, 110.0], "100": [1000.0]},
        warm: {"10": [5.0], "100": [6.0], "10000": [300.0]},
        "fastembed :1": {"10": [300.0], "100": [3000.0]},
        "fastembed :8": {"10": [400.0], "100": [2900.0]},
    }
    thousand = {
        "d200": {"documents": 1000, "milliseconds": {"PyLate :8": [32_000.0], "PyLate :32": [40_000.0]}}
    }
    results = {"growth": {"milliseconds": growth}, "thousand": thousand}
    assert series(results) == {
        warm: {10: 5, 100: 6, 10_000: 300},
        cold: {10: 110, 100: 1000},
        "PyLate": {1000: 32_000},
        "fastembed": {10: 300, 100: 2900},
    }
    assert draw({}, [tmp_path]) == []
    [vector] = draw(results, [tmp_path])
    first = vector.read_bytes()
    assert b"nothing cached" in first
    draw(results, [tmp_path])
    assert vector.read_bytes() == first


def test_weights_that_are_written_for_torch_are_read_again(tmp_path: Path) -> None:
    """The peers get the same numbers."""
    from speed_model import _write_safetensors

    from laterank.model.safetensors import read_tensor, tensor_names

    rng = np.random.default_rng(0)
    tensors = {"a.weight": rng.standard_normal((3, 4)).astype(np.float32), "b": np.ones(2, np.float32)}
    _write_safetensors(tmp_path / "model.safetensors", tensors)
    assert set(tensor_names(tmp_path / "model.safetensors")) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read_tensor(tmp_path / "model.safetensors", name), tensor)


@pytest.mark.parametrize("file", ["model.onnx", "model_int8.onnx"])
def test_the_products_alone_are_those_of_the_graph(file: str, tmp_path: Path) -> None:
    """Four a layer and the projection, with the weights that the graph has, and each gives what its weights say."""
    from speed_limit import PRODUCTS, products_alone

    export_model(GOLDEN / "bert-pylate", tmp_path / "model")
    whole = onnx.load(tmp_path / "model" / "onnx" / file)
    alone = products_alone(whole)
    weights = {tensor.name: tensor for tensor in whole.graph.initializer}
    found = [node.input[1] for node in alone.graph.node]
    assert found == [n.input[1] for n in whole.graph.node if n.op_type in PRODUCTS and n.input[1] in weights]
    assert len(found) == 4 * 2 + 1
    session = onnxruntime.InferenceSession(alone.SerializeToString(), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    feed = {
        node.name: random.standard_normal((5, node.shape[1])).astype(np.float32)
        for node in session.get_inputs()
    }
    for node, product in zip(alone.graph.node, session.run(None, feed), strict=True):
        matrix = numpy_helper.to_array(weights[node.input[1]]).astype(np.float32)
        if node.op_type == "DynamicQuantizeMatMul":
            assert not any(node.input[3:4])  # a zero point, which these weights do not have
            matrix = matrix * numpy_helper.to_array(weights[node.input[2]])
        expected = feed[node.input[0]] @ matrix
        if len(node.input) > 4 and node.input[4]:
            expected = expected + numpy_helper.to_array(weights[node.input[4]])
        assert np.abs(product - expected).max() < 0.05 * np.abs(expected).max()


def test_a_graph_without_products_is_refused() -> None:
    """Nothing to time is an error, not a time of nothing."""
    from speed_limit import products_alone

    empty = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    with pytest.raises(ValueError, match="no product with a stored weight"):
        products_alone(empty)

"""What a first call costs: its phases, and what a graph that onnxruntime wrote optimised would save of loading one.

Every figure is of a fresh process with files in the page cache, in turn with the others: processor time in milliseconds,
user and system, the median and the least.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from laterank.model.files import find_model
from laterank.runtime import import_onnxruntime

TIMER = """
import json, resource, sys
def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return 1e3 * (used.ru_utime + used.ru_stime)
phases, last = {}, spent()
def mark(phase):
    global last
    phases[phase], last = spent() - last, spent()
"""
FIRST_CALL = (
    TIMER
    + """
from laterank import Reranker
mark("import laterank")
reranker = Reranker.from_pretrained(sys.argv[1], threads=1)
mark("from_pretrained")
reranker.rank("Which planet is red?", ["Mars is called the Red Planet.", "Venus is hot."])
mark("rank two documents")
print(json.dumps({**phases, "sum": sum(phases.values())}))
"""
)
LOADING = (
    TIMER
    + """
from laterank.runtime import import_onnxruntime
onnxruntime = import_onnxruntime()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, sys.argv[2])
mark("")
onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
mark(sys.argv[3])
print(json.dumps({sys.argv[3]: phases[sys.argv[3]]}))
"""
)


def optimised(graph: Path, written: Path) -> Path:
    """Have onnxruntime optimise a graph for this processor and write it, as ONNX or its own format by the name's end."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(written)
    onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return written


def calls(model: str, folder: Path) -> list[list[str]]:
    """Return the processes to time: the first call, and the graph loaded in three forms."""
    graph = find_model(model).onnx
    forms = [("optimised while it loads", graph, "ORT_ENABLE_ALL")]
    for suffix in (".onnx", ".ort"):
        written = optimised(graph, folder / f"{len(list(folder.iterdir()))}{suffix}")
        forms.append((f"written optimised, {suffix}", written, "ORT_DISABLE_ALL"))
    loads = [["-c", LOADING, str(path), level, f"graph {name}"] for name, path, level in forms]
    return [["-c", FIRST_CALL, model], *loads]


def main() -> None:
    """Time everything and print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "models", nargs="*", default=["bundled"], help="names or folders, as Reranker takes them"
    )
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    figures: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        timed = [(model, call) for model in arguments.models for call in calls(model, Path(folder))]
        for number in range(arguments.rounds):
            for model, call in random.Random(number).sample(timed, len(timed)):
                found = subprocess.run([sys.executable, *call], check=True, capture_output=True, text=True)
                for phase, spent in json.loads(found.stdout).items():
                    figures.setdefault((model, phase), []).append(spent)
    for model in arguments.models:
        print(model)
        for (of, phase), spent in figures.items():
            if of == model:
                print(f"  {phase:32} {statistics.median(spent):6.0f} {min(spent):6.0f}")


if __name__ == "__main__":
    main()

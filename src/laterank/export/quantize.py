"""From a full-precision graph in a model folder to its INT8 form, near enough by measurement."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from laterank.encoding.encoder import ColbertEncoder
from laterank.encoding.tokenization import ColbertTokenizer
from laterank.errors import InputError, ModelFormatError
from laterank.export.calibration import smoothing_factors
from laterank.export.observing import observable
from laterank.export.parity import Fidelity, Sample, compare
from laterank.export.products import find_products, head_products, second_products
from laterank.export.quantization import quantize_graph
from laterank.export.rounding import rounded_weights
from laterank.export.sample import halves, make_sample
from laterank.export.saving import load_graph, save_graph
from laterank.model.files import ModelFiles, find_model

__all__ = ["LEAST_COSINE", "QuantizeReport", "quantize_model"]

logger = logging.getLogger(__name__)

LEAST_COSINE = 0.998
"""The mean cosine of INT8 rows to those of full precision at which nine of the top ten were seen to stay, for weights that were never
trained to rank; trained ones come nearer."""


@dataclass(frozen=True, slots=True)
class QuantizeReport:
    """What was written, and how near it is to full precision.

    Attributes:
        graph: The INT8 graph.
        bytes_before: Size of the full-precision graph, its data included.
        bytes_after: Size of the INT8 graph.
        fidelity: Measured on texts that fitted nothing.
        kept: Products that stay in float32 beside the projection, because INT8 hurt them; empty as a rule.
    """

    graph: Path
    bytes_before: int
    bytes_after: int
    fidelity: Fidelity
    kept: tuple[str, ...]


def quantize_model(
    model: str | PathLike[str],
    *,
    texts: Sequence[str] | None = None,
    least_cosine: float = LEAST_COSINE,
    overwrite: bool = False,
) -> QuantizeReport:
    """Write the INT8 graph of a model folder beside its full-precision one.

    Products get a scale for each output column, and are rounded so that what they give of the texts moves least (GPTQ, arXiv
    2210.17323). Their inputs are quantised at every run; hidden states and the inputs of the feed-forward parts are smoothed first
    (SmoothQuant, arXiv 2211.10438), those of the second product row by row. The projection stays in float32. Where rows come out farther from
    full precision than ``least_cosine``, the products that INT8 hurts most go back to float32, as few as it takes.

    Args:
        model: A local folder with a full-precision graph; ``model.onnx`` becomes ``model_int8.onnx``.
        texts: Documents like those that the model will see; None for the built-in ones. Half of them fit, half measure.
        least_cosine: The mean cosine of INT8 rows to full-precision rows that is required.
        overwrite: Whether an INT8 graph that is there may be replaced.

    Raises:
        InputError: If the model is no folder, an argument has no usable value, or there is an INT8 graph already.
        ModelFormatError: If the graph is no full-precision one, or is of a kind that cannot be quantised.
    """
    if not Path(model).is_dir():
        raise InputError(f"{str(model)!r} is no local folder; download or export the model into one first")
    if not 0 < least_cosine < 1:
        raise InputError(
            f"least_cosine is {least_cosine}, expected a number between 0 and 1, such as {LEAST_COSINE}"
        )
    files = find_model(Path(model), quantized=False)
    target = files.onnx.with_name(f"{files.onnx.stem}_int8.onnx")
    if target.exists() and not overwrite:
        raise InputError(f"{target} is there already; pass overwrite=True to replace it")
    return write_int8(files, target, make_sample(texts), least_cosine)


def write_int8(files: ModelFiles, target: Path, sample: Sample, least_cosine: float) -> QuantizeReport:
    """Quantise a model's graph, measure it, and write it in one step once it is good."""
    fitting, measuring = halves(sample)
    model = load_graph(files.onnx)
    texts = fitting.tokens(ColbertTokenizer(files.tokenizer, files.config))
    products = find_products(model)
    seen = observable(model, products, texts[0])
    smoothing, by_row = smoothing_factors(model, seen, texts), second_products(model, products)
    head = head_products(model, products)
    to_round = [product for product in seen if product.name not in head]
    rounded = rounded_weights(model, to_round, texts, smoothing)
    exact = measuring.rows(ColbertEncoder(files))
    with TemporaryDirectory(dir=target.parent) as folder:
        candidate = Path(folder) / target.name

        def measure(kept: Sequence[str]) -> Fidelity:
            graph = quantize_graph(model, smoothing=smoothing, rounded=rounded, keep=kept, by_row=by_row)
            save_graph(graph, candidate)
            return compare(exact, measuring.rows(ColbertEncoder(replace(files, onnx=candidate))))

        kept, fidelity = _choose_kept(model, measure, least_cosine)
        candidate.replace(target)
    before = sum(path.stat().st_size for path in (files.onnx, *files.onnx_data))
    return QuantizeReport(target, before, target.stat().st_size, fidelity, kept)


def _choose_kept(
    model: onnx.ModelProto, measure: Callable[[Sequence[str]], Fidelity], least_cosine: float
) -> tuple[tuple[str, ...], Fidelity]:
    """Find the fewest products, in the order in which INT8 hurts them alone, that must stay in float32.

    The last call of ``measure`` is the one whose graph is to be kept.
    """
    fidelity = measure(())
    if fidelity.cosine_mean >= least_cosine:
        return (), fidelity
    logger.info("INT8 rows have a mean cosine of %.4f: looking for what hurts", fidelity.cosine_mean)
    products = find_products(model)
    names = [product.name for product in products if product.name not in head_products(model, products)]
    alone = {name: measure([other for other in names if other != name]).cosine_mean for name in names}
    worst_first = sorted(names, key=lambda name: alone[name])
    fewest, most = 1, len(names)
    while fewest < most:  # cosines rise with the number kept, up to noise
        middle = (fewest + most) // 2
        if measure(worst_first[:middle]).cosine_mean >= least_cosine:
            most = middle
        else:
            fewest = middle + 1
    kept = tuple(worst_first[:fewest])
    fidelity = measure(kept)
    if fidelity.cosine_mean < least_cosine:
        raise ModelFormatError(
            f"even with every product in float32 the mean cosine is {fidelity.cosine_mean:.5f}, less than {least_cosine}: "
            "the embedding tables do not bear INT8; ask for less, or stay with full precision"
        )
    return kept, fidelity

"""The Dense chain and the safetensors reader, against their definitions."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN
from hypothesis import given
from hypothesis import strategies as st

from laterank import ModelFormatError
from laterank.encoding.projection import load_projection
from laterank.model.files import ModelFiles
from laterank.model.safetensors import read_tensor, tensor_names
from laterank.model.settings import read_config

RNG = np.random.default_rng(0)
STATES = RNG.standard_normal((5, 6)).astype(np.float32)


def write_safetensors(path: Path, tensors: dict[str, np.ndarray], dtype: str = "F32") -> None:
    """Write a file by the format's specification."""
    header, body = {}, b""
    for name, tensor in tensors.items():
        if dtype == "BF16":
            raw = (tensor.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
        else:
            raw = tensor.astype({"F32": "<f4", "F16": "<f2", "F64": "<f8", "I32": "<i4"}[dtype]).tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": tensor.shape,
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + body)


def dense(folder: Path, weight: np.ndarray, *, bias: np.ndarray | None = None, **config: object) -> Path:
    """Write one Dense layer as PyLate writes it."""
    folder.mkdir()
    tensors = {"linear.weight": weight} | ({"linear.bias": bias} if bias is not None else {})
    config.setdefault("activation_function", "torch.nn.modules.linear.Identity")
    residual = config.pop("residual", None)
    if isinstance(residual, np.ndarray):
        tensors["residual.weight"] = residual
    write_safetensors(folder / "model.safetensors", tensors)
    settings = {
        "in_features": weight.shape[1],
        "out_features": weight.shape[0],
        "bias": bias is not None,
        **config,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def project(*folders: Path) -> np.ndarray:
    golden = GOLDEN / "bert-pylate"
    files = ModelFiles(
        "tiny", golden, read_config(golden), golden / "x.onnx", golden / "tokenizer.json", dense=folders
    )
    projection = load_projection(files)
    assert projection is not None
    return projection(STATES)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("torch.nn.modules.linear.Identity", lambda x: x),
        ("torch.nn.modules.activation.ReLU", lambda x: np.maximum(x, 0)),
        ("torch.nn.modules.activation.Tanh", np.tanh),
        ("torch.nn.modules.activation.Sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("torch.nn.modules.activation.SiLU", lambda x: x / (1 + np.exp(-x))),
        (None, lambda x: x),
    ],
)
def test_a_layer_is_activation_of_weight_and_bias(
    tmp_path: Path, name: str | None, function: Callable[[np.ndarray], np.ndarray]
) -> None:
    """activation(x W^T + b), for every activation that is known."""
    weight, bias = RNG.standard_normal((4, 6)), RNG.standard_normal(4)
    layer = dense(tmp_path / "1_Dense", weight, bias=bias, activation_function=name)
    np.testing.assert_allclose(project(layer), function(STATES @ weight.T + bias), atol=1e-5)


def test_gelu_is_the_exact_one(tmp_path: Path) -> None:
    """torch's default GELU uses erf, not the tanh approximation."""
    from math import erf, sqrt

    weight = np.eye(6)
    layer = dense(tmp_path / "1_Dense", weight, activation_function="torch.nn.modules.activation.GELU")
    expected = np.vectorize(lambda x: x * 0.5 * (1 + erf(x / sqrt(2))))(STATES)
    np.testing.assert_allclose(project(layer), expected, atol=1e-6)


def test_residuals_are_the_input_or_its_own_matrix(tmp_path: Path) -> None:
    """Equal sizes add the input itself, others a second matrix."""
    square, narrow, branch = (RNG.standard_normal(shape) for shape in ((6, 6), (4, 6), (4, 6)))
    one = dense(tmp_path / "1_Dense", square, use_residual=True)
    np.testing.assert_allclose(project(one), STATES @ square.T + STATES, atol=1e-5)
    two = dense(tmp_path / "2_Dense", narrow, use_residual=True, residual=branch)
    np.testing.assert_allclose(project(two), STATES @ narrow.T + STATES @ branch.T, atol=1e-5)


def test_an_activation_that_is_not_written_down_is_not_guessed(tmp_path: Path) -> None:
    """sentence-transformers would take Tanh, PyLate would stop; so do we."""
    layer = dense(tmp_path / "1_Dense", np.ones((4, 6)))
    (layer / "config.json").write_text('{"in_features": 6, "out_features": 4, "bias": false}')
    with pytest.raises(ModelFormatError, match='lacks "activation_function"'):
        project(layer)


def test_layers_are_applied_in_order(tmp_path: Path) -> None:
    """Two layers are the second of the first."""
    first, second = RNG.standard_normal((5, 6)), RNG.standard_normal((3, 5))
    chain = [dense(tmp_path / "1_Dense", first), dense(tmp_path / "2_Dense", second)]
    np.testing.assert_allclose(project(*chain), STATES @ first.T @ second.T, atol=1e-4)


def test_layers_that_do_not_meet_are_named(tmp_path: Path) -> None:
    """The error says which layer takes what the one before does not give."""
    chain = [dense(tmp_path / "1_Dense", np.ones((5, 6))), dense(tmp_path / "2_Dense", np.ones((3, 4)))]
    with pytest.raises(ModelFormatError, match=r"2_Dense takes 4 features, but .*1_Dense gives 5"):
        project(*chain)


def test_old_torch_weights_say_how_to_convert(tmp_path: Path) -> None:
    """A pickled layer is not unpickled."""
    layer = dense(tmp_path / "1_Dense", np.ones((4, 6)))
    (layer / "model.safetensors").rename(layer / "pytorch_model.bin")
    with pytest.raises(ModelFormatError, match="save the layer as safetensors"):
        project(layer)


@given(st.integers(0, 2**31), st.sampled_from(["F64", "F32", "F16", "BF16"]))
def test_tensors_are_read_whatever_their_precision(seed: int, dtype: str) -> None:
    """Each comes out as float32 within its own precision."""
    import tempfile

    tensor = np.random.default_rng(seed).standard_normal((3, 4))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write_safetensors(path, {"other": np.ones(7), "weight": tensor}, dtype)
        assert tensor_names(path) == ("other", "weight")
        read = read_tensor(path, "weight")
    assert read.dtype == np.float32
    np.testing.assert_allclose(
        read, tensor, rtol={"F64": 1e-6, "F32": 1e-6, "F16": 2e-3, "BF16": 1e-2}[dtype]
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        struct.pack("<Q", 2**60),
        struct.pack("<Q", 9) + b"not json!",
        struct.pack("<Q", 1) + b"3",
    ],
)
def test_a_broken_safetensors_file_is_named(tmp_path: Path, content: bytes) -> None:
    """Half a download, a text file or a hostile header end in one clear error."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match="no readable safetensors file"):
        tensor_names(path)


def test_a_truncated_tensor_is_named(tmp_path: Path) -> None:
    """A header that promises more than the file holds."""
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"weight": np.ones((3, 4))})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelFormatError, match='tensor "weight" is broken'):
        read_tensor(path, "weight")


def test_tensors_that_are_missing_or_no_floats_are_named(tmp_path: Path) -> None:
    """The error lists what is there, or the type that is not read."""
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"weight": np.ones((3, 4))}, "I32")
    with pytest.raises(ModelFormatError, match='has no tensor "bias"; it has weight'):
        read_tensor(path, "bias")
    with pytest.raises(ModelFormatError, match="is I32, expected one of F64, F32, F16, BF16"):
        read_tensor(path, "weight")


@pytest.mark.parametrize("offsets", [[0, 2**62], [0, 2**70], [-8, 40], [40, 8], [0, None]])
def test_offsets_outside_the_file_are_refused(tmp_path: Path, offsets: list[object]) -> None:
    """A hostile header neither asks for all memory nor reads its own bytes as weights."""
    path = tmp_path / "model.safetensors"
    header = json.dumps({"weight": {"dtype": "F32", "shape": [3, 4], "data_offsets": offsets}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 48)
    with pytest.raises(ModelFormatError, match="is broken"):
        read_tensor(path, "weight")

"""Every check of a model in turn, going on with what can still be looked at where one fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from laterank.diagnosis.environment import Environment, check_runtime, read_environment
from laterank.diagnosis.files import check_files, check_tokenizer_leftovers
from laterank.diagnosis.finding import Finding, from_error, ok, skipped
from laterank.diagnosis.golden import check_answers, check_golden
from laterank.diagnosis.graph import (
    check_graph,
    check_independence,
    check_longest,
    check_numbers,
    check_projection,
    check_vocabulary,
)
from laterank.diagnosis.settings import (
    PLAIN_TEXT,
    check_markers,
    check_skiplist,
    check_tokenizer,
    token_ids,
)
from laterank.encoding.encoder import ColbertEncoder
from laterank.encoding.session import OnnxSession
from laterank.encoding.tokenization import ColbertTokenizer
from laterank.errors import LaterankError, ModelFormatError, ModelNotFoundError
from laterank.model import hub
from laterank.model.calibration import CALIBRATION_FILE, read_calibrations
from laterank.model.files import BUNDLED, BUNDLED_FOLDER, ModelFiles, find_model
from laterank.model.golden import GOLDEN_FILE, read_golden
from laterank.model.layout import choose_onnx, needed_files
from laterank.model.registry import known_model

__all__ = ["Diagnosis", "diagnose"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found of a model, and what it was tried on.

    Attributes:
        model: The model's name.
        folder: Where its files lie; None where they were not found.
        environment: What it was tried on.
        findings: What each check found, in order.
        files: The model, where its settings could be read.
    """

    model: str
    folder: Path | None
    environment: Environment
    findings: tuple[Finding, ...]
    files: ModelFiles | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing failed."""
        return all(finding.status != "failed" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "model": self.model,
            "folder": None if self.folder is None else str(self.folder),
            "healthy": self.healthy,
            "environment": asdict(self.environment),
            "findings": [asdict(finding) for finding in self.findings],
        }


def diagnose(
    model: str | PathLike[str] = BUNDLED,
    *,
    onnx_file: str | None = None,
    quantized: bool | None = None,
    threads: int | None = None,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Diagnosis:
    """Look at everything that makes a model rank wrongly or not at all.

    Args:
        model: ``"bundled"``, a hub id, or a folder.
        onnx_file: The graph to look at; None for the one that ``Reranker.from_pretrained`` takes.
        quantized: Whether that is the INT8 graph.
        threads: Threads to encode with; None for every usable processor.
        cache_dir: The hub's cache.
        local_files_only: Never use the network.
    """
    wanted = _Wanted(model, onnx_file, quantized, cache_dir, local_files_only)
    examination = _Examination(wanted, threads)
    examination.run()
    return Diagnosis(
        str(model),
        examination.folder,
        read_environment(threads),
        tuple(examination.findings),
        examination.files,
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which of a model's files are asked for."""

    model: str | PathLike[str]
    onnx_file: str | None
    quantized: bool | None
    cache_dir: str | PathLike[str] | None
    local_files_only: bool

    def resolve(self, needed: Callable[[Sequence[str], str], list[str]]) -> hub.ResolvedModel:
        """Find the model's folder with the files that ``needed`` names for a graph."""
        name = str(self.model)
        known = known_model(name)

        def choose(names: Sequence[str]) -> list[str]:
            graph = choose_onnx(
                names, name=name, known=known, onnx_file=self.onnx_file, quantized=self.quantized
            )
            return needed(names, graph)

        place = BUNDLED_FOLDER if self.model == BUNDLED else self.model
        return hub.resolve(place, choose, cache_dir=self.cache_dir, local_files_only=self.local_files_only)

    def find(self) -> ModelFiles:
        """Find the model as ``ColbertEncoder.from_pretrained`` does."""
        return find_model(
            self.model,
            onnx_file=self.onnx_file,
            quantized=self.quantized,
            cache_dir=self.cache_dir,
            local_files_only=self.local_files_only,
        )


@dataclass(slots=True)
class _Examination:
    """One model's checks: each step sets what the next ones need, or leaves it None."""

    wanted: _Wanted
    threads: int | None
    findings: list[Finding] = field(default_factory=list)
    folder: Path | None = None
    graph: Path | None = None
    files: ModelFiles | None = None
    tokenizer: ColbertTokenizer | None = None
    session: OnnxSession | None = None
    size: int | None = None

    def run(self) -> None:
        """Make every check that can be made."""
        self.findings.append(check_runtime())
        if not self._look_at_files():
            return
        self._look_at_settings()
        self._look_at_graph()
        self._look_at_rows()

    def _look_at_files(self) -> bool:
        known = known_model(str(self.wanted.model))
        try:
            resolved = self.wanted.resolve(lambda names, graph: needed_files(names, graph, known=known))
        except LaterankError as error:
            cure = "check the name; it is downloaded where the network may be used, or pass a folder's path"
            known_cure = cure if isinstance(error, ModelNotFoundError) else None
            expected = "a folder or a hub id of a ColBERT model in ONNX"
            self.findings.append(from_error("files", error, expected=expected, cure=known_cure))
            try:  # without its tokenizer a model has a graph to look at, all the same
                resolved = self.wanted.resolve(lambda _, graph: [graph])
            except LaterankError:
                return False
        self.folder = resolved.folder
        names = tuple(resolved.files)
        self.graph = resolved.folder / next(name for name in names if name.endswith(".onnx"))
        found = check_files(resolved.folder, names)
        self.findings += [finding for finding in found if len(names) > 1 or finding.status != "ok"]
        return True

    def _look_at_settings(self) -> None:
        assumed = "the model's settings and the right tokens"
        try:
            self.files = self.wanted.find()
        except LaterankError as error:
            if not self._broken("") and not self._has_failed("files"):
                self.findings.append(from_error("settings", error, expected=assumed))
            self.findings.append(skipped("tokenizer", "needs settings that can be read"))
            return
        files, config = self.files, self.files.config
        self.findings.append(
            ok("settings", f"documents of {config.document_length} tokens, queries of {config.query_length}")
        )
        if self._broken("tokenizer.json"):
            self.findings.append(skipped("tokenizer", "needs tokenizer.json"))
            return
        self.tokenizer, finding = check_tokenizer(files.tokenizer, config)
        self.findings += [finding, check_markers(config), check_tokenizer_leftovers(files.tokenizer)]
        if known := self._vocabulary(files.tokenizer):
            self.findings.append(check_skiplist(known, config))

    def _look_at_graph(self) -> None:
        if self.graph is None or self._broken(self.graph.name) or self._broken("weights"):
            self.findings.append(skipped("graph", "needs the file and its weights"))
            return
        path = self.files.onnx if self.files is not None else self.graph
        output = self.files.config.output if self.files is not None else None
        session = OnnxSession(path, output=output)
        self.size, finding = check_graph(session, path)
        self.findings.append(finding)
        if self.size is None:
            return
        self.session = session
        if self.folder is not None and (known := self._vocabulary(self.folder / "tokenizer.json")):
            self.findings.append(check_vocabulary(session, known))

    def _vocabulary(self, path: Path) -> dict[str, int] | None:
        """Return the tokens with their ids; None where the file fails another check."""
        if not path.is_file() or self._broken(path.name):
            return None
        try:
            return token_ids(path)
        except ModelFormatError as error:
            if not self._has_failed("tokenizer"):
                self.findings.append(from_error("tokenizer", error, expected="tokens with their ids"))
            return None

    def _look_at_rows(self) -> None:
        files, session, size = self.files, self.session, self.size
        if files is None or session is None or size is None:
            self.findings.append(skipped("rows", "needs settings that can be read and a graph that loads"))
            return
        projection = None
        if not self._broken(".safetensors"):
            projection, finding = check_projection(files, size)
            self.findings.append(finding)
        if (
            self._broken(".safetensors")
            or self.tokenizer is None
            or any(self._has_failed(name) for name in ("projection", "vocabulary"))
        ):
            self.findings.append(
                skipped("rows", "needs the tokenizer, the projection and a graph that reads every token")
            )
            return
        [tokens] = self.tokenizer.documents([PLAIN_TEXT])
        self.findings += [
            check_longest(session, files, tokens.ids),
            check_numbers(session, projection, tokens.ids),
        ]
        if self._has_failed("rows"):
            self.findings.append(skipped("scores", "needs rows that are numbers"))
            return
        self.findings += check_independence(session, files, projection, tokens.ids)
        self._look_at_scores(files)

    def _look_at_scores(self, files: ModelFiles) -> None:
        encoder = ColbertEncoder(files, threads=self.threads)
        encoder.say_nothing_of_cuts()
        self.findings.append(check_answers(encoder))
        record, calibration = files.folder / GOLDEN_FILE, files.folder / CALIBRATION_FILE
        try:
            if record.is_file():
                self.findings += check_golden(read_golden(record), encoder)
            else:
                self.findings.append(skipped("golden scores", f"the model publishes none ({GOLDEN_FILE})"))
        except LaterankError as error:
            self.findings.append(from_error("golden scores", error, expected="a record that can be read"))
        if calibration.is_file():
            try:
                sizes = read_calibrations(calibration)
            except LaterankError as error:
                self.findings.append(
                    from_error("calibration", error, expected="a map from scores to probabilities")
                )
            else:
                fitted = ", ".join("all numbers" if size is None else str(size) for size in sizes)
                self.findings.append(ok("calibration", f"probabilities were fitted for: {fitted}"))

    def _broken(self, name: str) -> bool:
        """Tell whether a file failed already; any file for an empty name."""
        return any(
            finding.status == "failed"
            and finding.check.startswith(("file ", "weights "))
            and name in finding.check
            for finding in self.findings
        )

    def _has_failed(self, check: str) -> bool:
        return any(finding.check == check and finding.status == "failed" for finding in self.findings)

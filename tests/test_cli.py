"""The command line: what goes in, what comes out, and how it ends."""

import io
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN
from support_terminal import at_terminal

from laterank import Reranker, SqliteCache, __version__
from laterank.cli import main
from laterank.cli.app import COMMANDS
from laterank.cli.cache import parsed_bytes
from laterank.cli.inputs import read_records
from laterank.cli.messages import OPTIONS, in_shell_words
from laterank.cli.output import byte_size, one_line
from laterank.errors import InputError

TINY = str(GOLDEN / "bert-pylate")
PASSAGES = ["Mars is red.", "Venus is hot.", "The sea is deep.", "Ships sail the sea."]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command in this process: exit code, output, errors."""

    def run_command(*arguments: object, stdin: str | bytes | None = None) -> tuple[int, str, str]:
        if stdin is not None:
            content = stdin.encode() if isinstance(stdin, str) else stdin
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_command


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    """Return a file with a passage a line."""
    file = tmp_path / "passages.txt"
    file.write_text("\n".join(PASSAGES) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Return a file with a JSON object a line."""
    file = tmp_path / "records.jsonl"
    lines = [json.dumps({"id": f"d{n}", "text": text, "score": n}) for n, text in enumerate(PASSAGES)]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def start(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
    """Start a command in a process of its own."""
    command = [sys.executable, "-m", "laterank", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


# --- the command as a whole ---------------------------------------------------------------------------------------


def test_help_names_every_command_that_there_is(run: Run) -> None:
    """In the order of the list, each with what it does."""
    code, out, _ = run("--help")
    assert code == 0
    there = [name for name in COMMANDS if f" {name} " in out]
    assert {"rerank", "explain", "warm", "cache", "models", "doctor"} <= set(there)


def test_help_loads_no_runtime_and_no_model() -> None:
    """It is there at once."""
    heavy = {"onnxruntime", "tokenizers", "huggingface_hub", "langchain_core", "llama_index", "torch"}
    program = (
        "import sys\nfrom laterank.cli import main\nmain(['--help'])\nmain(['doctor', '--help'])\n"
        f"print(*sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


def test_a_misspelt_command_is_told_its_neighbour(run: Run) -> None:
    """A wrong use, as is a word that is near none."""
    code, _, said = run("rerak", "query")
    assert (code, "Did you mean 'rerank'?" in said) == (2, True)
    code, _, said = run("xylophone")
    assert (code, "Did you mean" in said) == (2, False)


def test_the_version_is_printed(run: Run) -> None:
    """And nothing else."""
    assert run("--version") == (0, f"{__version__}\n", "")


def test_without_typer_one_line_says_how_to_install_it() -> None:
    """The extra is not a dependency."""
    program = "import sys\nsys.modules['typer'] = None\nfrom laterank.cli import main\nsys.exit(main([]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == 'laterank: the command line needs typer; install it with: pip install "laterank[cli]"\n'
    )


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["rerank"], ["doctor", "--nonsense"], ["cache", "stats"]]
)
def test_a_wrong_use_ends_with_2(run: Run, arguments: list[str]) -> None:
    """As shells expect, with a message on standard error only."""
    code, out, error = run(*arguments)
    assert (code, out) == (2, "")
    assert error


def test_an_error_is_one_message_and_no_traceback(run: Run, passages: Path) -> None:
    """What the library says is enough."""
    code, out, error = run("rerank", "red", passages, "--model", "/no/such/folder")
    assert (code, out) == (1, "")
    assert error == "laterank: model='/no/such/folder': there is no folder /no/such/folder\n"


def test_a_reader_that_has_enough_is_no_error() -> None:
    """As head closes its end of a pipe."""
    process = start("models", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_an_output_that_is_full_is_one_message() -> None:
    """And no second one when the interpreter ends."""
    with Path("/dev/full").open("w") as full:
        process = start("models", stdout=full)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error.startswith(b"laterank: ")
    assert error.count(b"\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes the streams")
def test_closed_streams_are_no_traceback(passages: Path) -> None:
    """As some schedulers start their jobs."""
    command = [sys.executable, "-m", "laterank", "rerank", "red", "-m", TINY]
    for streams, code in ((f"{shlex.quote(str(passages))} >&-", 0), ("- <&-", 2)):
        done = subprocess.run(
            ["/bin/sh", "-c", f"{shlex.join(map(str, command))} {streams}"],
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False)


def test_an_empty_name_is_no_standard_input(run: Run) -> None:
    """A variable of a shell that was not set must not make the command wait."""
    code, _, error = run("rerank", "red", "", "-m", TINY)
    assert code == 2
    assert "cannot be read" in error


def test_an_interrupt_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    """Ctrl-C while a command waits for its input."""
    cache = tmp_path / "rows.sqlite"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it,
    try:  # and so would what it starts
        process = start(
            "warm", "-", "--cache", cache, "--model", TINY, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.stdin is not None
    process.stdin.write(b"Mars is red.\n")  # a cache is made for something
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while not cache.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # from the cache's file to the wait for input
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in error


def test_signs_that_an_output_cannot_hold_are_escaped(passages: Path) -> None:
    """In JSON so that it stays JSON."""
    passages.write_text("Café 🍷\n", encoding="utf-8")
    for option in ([], ["--json"]):
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        process = start(
            "rerank", "wine", passages, "-m", TINY, *option, stdout=subprocess.PIPE, env=environment
        )
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out.isascii()
    assert json.loads(out)["text"] == "Café 🍷"


# --- rerank ---------------------------------------------------------------------------------------------------------


def expected_order(query: str) -> list[int]:
    """Return what the library's own call gives."""
    return [place.index for place in Reranker.from_pretrained(TINY, threads=1).rank(query, PASSAGES)]


def test_documents_come_out_in_the_order_of_the_library(run: Run, passages: Path) -> None:
    """Rank, score and text, separated by tabs where standard output is no terminal."""
    code, out, _ = run("rerank", "red planet", passages, "-m", TINY)
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert [PASSAGES.index(row[2]) for row in rows] == expected_order("red planet")


def test_json_lines_keep_their_fields(run: Run, records: Path) -> None:
    """A field with a name of ours is kept under another."""
    code, out, _ = run("rerank", "red planet", records, "-m", TINY, "--json", "--top-n", 2)
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [entry["index"] for entry in found] == expected_order("red planet")[:2]
    for rank, entry in enumerate(found, start=1):
        number = entry["index"]
        assert (entry["rank"], entry["id"], entry["text"]) == (rank, f"d{number}", PASSAGES[number])
        assert entry["input_score"] == number


def test_what_was_ranked_before_is_ranked_again_without_losing_a_field(run: Run, records: Path) -> None:
    """The scores of each round are kept under the first name that is free."""
    lines = records.read_text(encoding="utf-8")
    for _ in range(3):
        _, lines, _ = run("rerank", "red planet", "-m", TINY, "--json", stdin=lines)
    for entry in map(json.loads, lines.splitlines()):
        scores = [entry[f"{'input_' * times}score"] for times in range(4)]
        assert scores == [scores[0], int(entry["id"][1:]), scores[0], scores[0]]


def test_standard_input_is_read_where_no_file_is_named(run: Run, passages: Path) -> None:
    """With or without a dash."""
    from_file = run("rerank", "red", passages, "-m", TINY)
    text = passages.read_text()
    assert run("rerank", "red", "-m", TINY, stdin=text) == from_file
    assert run("rerank", "red", "-", "-m", TINY, stdin=text) == from_file


def test_a_file_where_the_query_belongs_is_told(run: Run, passages: Path) -> None:
    """It would be the question over no documents, and nothing would come out; no documents alone are no error."""
    status, _, said = run("rerank", passages, "-m", TINY, stdin="")
    assert status == 2
    assert "pass the query first, then the file" in said
    assert run("rerank", "red " * 100, "-m", TINY, stdin="") == (0, "", "")


def test_many_queries_rank_the_same_documents(run: Run, passages: Path, tmp_path: Path) -> None:
    """One ranking each, and JSON says of which query."""
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"id": "q1", "text": "red"}\n{"id": "q2", "text": "sea"}\n')
    code, out, _ = run("rerank", "--queries", questions, passages, "-m", TINY, "--json", "-n", 1)
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [entry["query"]["id"] for entry in found] == ["q1", "q2"]
    assert [entry["index"] for entry in found] == [expected_order(query)[0] for query in ("red", "sea")]


def test_a_threshold_leaves_out_what_scores_lower(run: Run, passages: Path) -> None:
    """Which may be everything."""
    assert run("rerank", "red", passages, "-m", TINY, "--threshold", 2) == (0, "", "")


def test_a_policy_for_long_documents_is_passed_on(run: Run) -> None:
    """A long document is cut, read whole, or refused."""
    long = "The sea is deep. " * 200 + "Mars is red."
    command = ("rerank", "Which planet is red?", "--model", TINY, "--long-documents")
    assert run(*command, "windows", stdin=long)[0] == 0
    code, _, said = run(*command, "error", stdin=long)
    assert (code, said.startswith("laterank: documents[0]")) == (2, True)


def test_a_score_kind_is_passed_on(run: Run, passages: Path) -> None:
    """A model without calibration says so."""
    code, _, error = run("rerank", "red", passages, "-m", TINY, "--score", "probability")
    assert code == 2
    assert "ships no calibration" in error
    mean = json.loads(run("rerank", "red", passages, "-m", TINY, "--json", "-n", 1)[1])["score"]
    total = json.loads(run("rerank", "red", passages, "-m", TINY, "--json", "-n", 1, "--score", "sum")[1])[
        "score"
    ]
    assert total == pytest.approx(32 * mean, rel=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}\nb\n', "line 2, is no JSON"),
        (b'{"text": "a"}\n[1]\n', "line 2, is a JSON list"),
        (b'{"body": "a"}\n', 'has no text under "text"; its texts: body; pass --field'),
        (b"good\nb\xe9d\n", "line 2, is no UTF-8"),
        (b'{"text": "a"}\n' + b'{"text":' + b"[" * 200_000, "line 2, is no JSON"),
    ],
)
def test_a_broken_line_is_named(run: Run, tmp_path: Path, content: bytes, message: str) -> None:
    """By file and number, with what to do."""
    file = tmp_path / "broken.jsonl"
    file.write_bytes(content)
    code, out, error = run("rerank", "red", file, "-m", TINY)
    assert (code, out) == (2, "")
    assert message in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["rerank", "query", "~nobody-here/x"],
        ["explain", "query", "text", "-m", TINY, "--cache", "~nobody-here/x.sqlite"],
        ["warm", "--cache", "x.sqlite", "~nobody-here/x"],
        ["explain", "query", "text", "-m", TINY, "--html", "~nobody-here/x.html"],
    ],
)
def test_a_home_that_is_nobodys_is_one_message(
    run: Run, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is made, least of all a folder of that name."""
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("laterank: ~nobody-here/x")
    assert "has no home for its ~; write ./~nobody-here/x" in err
    assert list(tmp_path.iterdir()) == []


def test_several_fields_make_one_text(tmp_path: Path) -> None:
    """As BEIR has title and text."""
    file = tmp_path / "corpus.jsonl"
    file.write_text('{"title": "Mars", "text": "is red"}\n')
    assert [record.text for record in read_records([str(file)], names=["title", "text"])] == ["Mars is red"]


def test_blank_lines_and_a_byte_order_mark_are_no_text(tmp_path: Path) -> None:
    """What editors leave in files."""
    file = tmp_path / "lines.txt"
    file.write_bytes("\ufeffMars\r\n\r\n  \r\nVenus".encode())
    assert [record.text for record in read_records([str(file)])] == ["Mars", "Venus"]


def test_json_is_valid_whatever_numbers_a_line_has(run: Run) -> None:
    """JSON has no NaN and no infinity, which Python reads all the same: null stands for them."""
    line = '{"text": "Mars", "far": 1e999, "none": [NaN, {"deep": -Infinity}], "near": 1.5}'
    code, out, _ = run("rerank", "planet", "-m", TINY, "--json", stdin=line)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    found = json.loads(out, parse_constant=refuse)
    assert code == 0
    assert (found["far"], found["none"], found["near"]) == (None, [None, {"deep": None}], 1.5)


def test_a_document_cannot_command_the_terminal() -> None:
    """Escapes and line breaks become blanks."""
    assert one_line("a\x1b[31mb\r\n\tc\x9b2Jd") == "a [31mb c 2Jd"
    for sign in map(chr, range(0x3100)):
        blank = sign.isspace() or unicodedata.category(sign) == "Cc"
        assert one_line(f" {sign}a{sign} {sign}b ") == ("a b" if blank else f"{sign}a{sign} {sign}b")


@pytest.mark.skipif(os.name != "posix", reason="terminals of another kind")
def test_a_huge_document_does_not_fill_the_terminal(tmp_path: Path) -> None:
    """Its start is shown, and how much is not; a pipe gets all of it."""
    file = tmp_path / "huge.txt"
    file.write_text("mars is red " * 10_000, encoding="utf-8")
    code, written = at_terminal("rerank", "red", file, "-m", TINY)
    assert (code, "more characters)" in " ".join(written.split())) == (0, True)
    assert len(written) < 20_000
    piped = subprocess.run(
        [sys.executable, "-m", "laterank", "rerank", "red", file, "-m", TINY], capture_output=True, check=True
    )
    assert len(piped.stdout) > 119_000


def test_a_terminal_gets_a_table_and_no_color_is_respected(passages: Path) -> None:
    """With a header, and every passage whole."""
    passages.write_text("A [red] planet, [bold]Mars[/bold].\n")
    for environment in ({}, {"NO_COLOR": "1"}):
        code, written = at_terminal("rerank", "red", passages, "-m", TINY, **environment)
        assert code == 0
        assert "rank" in written
        assert "A [red] planet, [bold]Mars[/bold]." in written
    assert "\x1b[3" not in written


def test_options_for_the_first_stage_are_those_of_the_library(run: Run, records: Path) -> None:
    """The order of the lines, or their scores, are mixed in; what is not read says so."""
    reranker, scores = Reranker.from_pretrained(TINY, threads=1), [0.0, 1.0, 2.0, 3.0]
    for options, expected in (
        (("--fusion", "rrf"), reranker.rank("sea", PASSAGES, fusion="rrf")),
        (
            ("--fusion", "weighted", "--fusion-weight", 0.2),
            reranker.rank("sea", PASSAGES, fusion="weighted", fusion_weight=0.2, first_stage_scores=scores),
        ),
        (("--budget", 2), Reranker.from_pretrained(TINY, threads=1).rank("sea", PASSAGES, budget=2)),
    ):
        code, out, _ = run("rerank", "sea", records, "-m", TINY, "--json", *options)
        found = [json.loads(line) for line in out.splitlines()]
        assert code == 0
        assert [entry["index"] for entry in found] == [place.index for place in expected]
        assert [entry.get("fused_score") for entry in found] == [place.fused for place in expected]
        assert [entry.get("scored", True) for entry in found] == [place.scored for place in expected]
    assert run("rerank", "sea", records, "-m", TINY, "--budget", 2)[1].count("not read") == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--fusion", "rrf", "--budget", 2), "fusion mixes two rankings"),
        (("--patience", 2), "patience is 2 and --top-n is None; pass --top-n"),
        (("--fusion-weight", 2), "--fusion-weight is 2.0"),
        (("--workers", -1), "workers is -1"),
        (("--window-overlap", 1), "--window-overlap is 1.0"),
        (("--truncate-dim", 99), "truncate_dim is 99"),
        (("--pool-factor", 0), "pool_factor is 0"),
    ],
)
def test_options_that_cannot_work_are_named_as_the_shell_has_them(
    run: Run, records: Path, options: tuple[object, ...], said: str
) -> None:
    """One message and a wrong use."""
    code, out, error = run("rerank", "sea", records, "-m", TINY, *options)
    assert (code, out) == (2, "")
    assert error.startswith("laterank: ")
    assert said in error


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "The sea is deep.",
            'has no "bm25"; pass JSON lines that have one, such as {"text": "...", "bm25": 12.3}',
        ),
        (
            '{"text": "a", "id": 7, "dense": 0.5}',
            'has no "bm25", but "id", "dense"; name a field with --score-field',
        ),
        ('{"text": "a", "bm25": "12"}', 'has "12" under "bm25", expected a finite number'),
        ('{"text": "a", "bm25": null}', 'has null under "bm25", expected a finite number'),
        ('{"text": "a", "bm25": NaN}', 'has NaN under "bm25", expected a finite number'),
        ('{"text": "a", "bm25": true}', 'has true under "bm25", expected a finite number'),
        (f'{{"text": "a", "bm25": {[1] * 99}}}', '1, 1,… under "bm25"'),
    ],
)
def test_a_weighted_fusion_says_which_score_is_missing(
    run: Run, tmp_path: Path, line: str, said: str
) -> None:
    """And what to do, before the model is loaded."""
    file = tmp_path / "found.txt"
    scored = line if line[0] != "{" else '{"text": "b", "bm25": 2}'
    file.write_text(f"{scored}\n{line}\n", encoding="utf-8")
    code, out, error = run(
        "rerank", "sea", file, "-m", "nowhere", "--fusion", "weighted", "--score-field", "bm25"
    )
    assert (code, out) == (2, "")
    assert error.startswith("laterank: --fusion weighted mixes scores, and document ")
    assert said in error
    assert error.endswith("; or pass --fusion rrf, which needs the order of the lines alone\n")


def test_what_is_cut_is_said_in_the_words_of_the_shell(run: Run, passages: Path) -> None:
    """Of a document with the option that reads it whole, of a query without."""
    long = "The sea is deep. " * 200
    _, _, said = run("rerank", "red", "-m", TINY, stdin=long)
    assert "cuts documents at 48 tokens" in said
    assert "--long-documents windows reads documents" in said
    _, _, said = run("rerank", long, passages, "-m", TINY)
    assert "cuts queries at 32 tokens" in said
    assert "long" not in said


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("use long_documents='windows'", "use --long-documents windows"),
        ('or fusion="rrf", which', "or --fusion rrf, which"),
        ("local_files_only=True forbids", "--offline forbids"),
        ("bundled,fusion=rrf and top_n/a.txt", "bundled,fusion=rrf and top_n/a.txt"),
        ("a score of no budget", "a score of no budget"),
        (
            "m is there already; pass overwrite=True to replace it",
            "m is there already; pass --overwrite to replace it",
        ),
        ("so as not to overwrite it", "so as not to overwrite it"),
        ("least_cosine is 2.0, expected", "--least-cosine is 2.0, expected"),
    ],
)
def test_only_options_are_said_otherwise(message: str, said: str) -> None:
    """Names of models, files, and words of English stay."""
    assert in_shell_words(message) == said


def test_every_option_that_messages_name_is_there(run: Run) -> None:
    """So that nobody is sent to an option that no command has."""
    out = "".join(run(command, "--help")[1] for command in ("rerank", "compare", "export"))
    assert [option for option in OPTIONS.values() if option not in out] == []


# --- warm and cache -------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(run: Run, passages: Path, tmp_path: Path) -> Path:
    """Return a cache that holds the passages."""
    path = tmp_path / "rows.sqlite"
    code, out, error = run("warm", passages, "--cache", path, "-m", TINY)
    assert (code, out, error) == (0, "4 documents: 4 encoded, 0 in the cache before\n", "")
    return path


def test_warming_again_encodes_nothing(run: Run, cache: Path, records: Path) -> None:
    """Nor does another file of the same texts; what rerank needs is there."""
    _, out, _ = run("warm", records, "--cache", cache, "-m", TINY, "--json")
    assert json.loads(out) == {"documents": 4, "encoded": 0, "known": 4}


def test_a_bar_is_shown_at_a_terminal_only(passages: Path, tmp_path: Path) -> None:
    """On standard error, which the fixture above saw empty."""
    code, written = at_terminal("warm", passages, "--cache", tmp_path / "other.sqlite", "-m", TINY)
    assert code == 0
    assert "warming" in written
    assert "4/4" in written


def test_stats_say_what_a_cache_holds(run: Run, cache: Path) -> None:
    """Documents, bytes, and how they are kept."""
    _, out, _ = run("cache", "stats", cache, "--json")
    held = json.loads(out)
    with SqliteCache(cache) as opened:
        assert (held["documents"], held["size_bytes"]) == (len(opened), opened.stats().size_bytes)
    assert held["kinds"] == {"int8 x 16": 4}
    assert "int8 x 16\t4" in run("cache", "stats", cache)[1]


def test_verify_finds_a_damaged_document_and_repair_deletes_it(run: Run, cache: Path) -> None:
    """The others stay, and ranking encodes the lost one again."""
    assert run("cache", "verify", cache)[0] == 0
    connection = sqlite3.connect(cache)
    connection.execute(
        "UPDATE bodies SET body = substr(body, 1, 20) || zeroblob(length(body) - 20) WHERE id = 2"
    )
    connection.commit()
    connection.close()
    code, out, _ = run("cache", "verify", cache, "--json")
    found = json.loads(out)
    assert (code, found["documents"], len(found["damaged"]), found["whole"]) == (1, 4, 1, False)
    assert "--repair" in run("cache", "verify", cache)[1]
    assert run("cache", "verify", cache, "--repair")[0] == 0
    assert json.loads(run("cache", "stats", cache, "--json")[1])["documents"] == 3


def test_prune_leaves_what_fits(run: Run, cache: Path) -> None:
    """By bytes or by days, and never without either."""
    assert "0 documents forgotten, 4 left" in run("cache", "prune", cache, "--unused-days", 1)[1]
    size = json.loads(run("cache", "stats", cache, "--json")[1])["size_bytes"]
    left = json.loads(run("cache", "prune", cache, "--max-bytes", size - 1, "--json")[1])
    assert left["documents"] < 4
    assert left["size_bytes"] < size
    assert run("cache", "prune", cache, "--unused-days", 0)[0] == 0
    assert json.loads(run("cache", "stats", cache, "--json")[1])["documents"] == 0
    assert run("cache", "prune", cache)[0] == 2


def test_an_export_is_a_cache_of_its_own(run: Run, cache: Path, tmp_path: Path, passages: Path) -> None:
    """One file that another reranker reads; an existing file is never written over."""
    copy = tmp_path / "image" / "rows.sqlite"
    assert run("cache", "export", cache, copy)[0] == 0
    assert [path.name for path in copy.parent.iterdir()] == ["rows.sqlite"]
    assert json.loads(run("warm", passages, "--cache", copy, "-m", TINY, "--json")[1])["encoded"] == 0
    code, _, error = run("cache", "export", cache, copy)
    assert code == 1
    assert "exists" in error


@pytest.mark.skipif(os.name != "posix", reason="limits of another kind")
def test_an_export_to_a_full_disk_leaves_nothing_behind(cache: Path, tmp_path: Path) -> None:
    """Half a cache under its name would stand in the way of the next try."""
    program = (
        "import resource, sys; from laterank.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)); sys.exit(main())"
    )
    copy = tmp_path / "image" / "rows.sqlite"
    export = ["cache", "export", str(cache), str(copy)]
    with SqliteCache(cache) as opened:
        opened.put_many({b"large": np.ones((3000, 32), np.float32)})
    done = subprocess.run(
        [sys.executable, "-c", program, *export], capture_output=True, text=True, check=False
    )
    assert (done.returncode, list(copy.parent.iterdir())) == (1, [])
    assert "cannot be used as a cache" in done.stderr
    assert main(export) == 0


@pytest.mark.parametrize("command", ["stats", "verify", "prune --max-bytes 1", "export"])
def test_a_cache_that_is_not_there_is_not_made(run: Run, tmp_path: Path, command: str) -> None:
    """Looking at nothing leaves nothing behind."""
    name, *options = command.split()
    missing = tmp_path / "none.sqlite"
    code, _, error = run("cache", name, missing, *options, *([tmp_path / "copy"] if name == "export" else []))
    assert code == 1
    assert "there is no cache" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options", [("--unused-days", "nan"), ("--unused-days", "1e300"), ("--max-bytes", "9" * 400)]
)
def test_no_cache_is_pruned_by_what_is_no_number(run: Run, cache: Path, options: tuple[str, str]) -> None:
    """One message, as for every wrong option."""
    code, out, error = run("cache", "prune", cache, *options)
    assert (code, out) == (2, "")
    assert error.startswith(f"laterank: {options[0]}")


def test_sizes_are_read_and_written_for_people() -> None:
    """Decimal and binary units."""
    assert [parsed_bytes(text) for text in ("500MB", "2GiB", "1000", "1.5 kb")] == [
        500_000_000,
        2 * 1024**3,
        1000,
        1500,
    ]
    assert [byte_size(size) for size in (0, 999, 23_692_776, 4 * 10**12)] == [
        "0 B",
        "999 B",
        "23.7 MB",
        "4.0 TB",
    ]
    for text in ("", "two", "-1", "5 apples"):
        with pytest.raises(InputError, match="expected a size"):
            parsed_bytes(text)


def test_a_cache_is_warmed_for_the_settings_that_will_read_it(run: Run, tmp_path: Path) -> None:
    """The options that decide what is kept are those of the library."""
    texts, path = ["The sea is deep. " * 60 + "It is cold.", "Mars is red."], tmp_path / "rows.sqlite"
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    options = (
        "--long-documents",
        "windows",
        "--window-overlap",
        0.5,
        "--truncate-dim",
        8,
        "--pool-factor",
        2,
    )
    assert run("warm", tmp_path / "texts.txt", "--cache", path, "-m", TINY, *options)[0] == 0
    given = {"long_documents": "windows", "window_overlap": 0.5, "truncate_dim": 8, "pool_factor": 2}
    with Reranker.from_pretrained(TINY, cache=path, **given) as reranker:  # type: ignore[arg-type]
        assert reranker.warm(texts).encoded == 0


@pytest.mark.parametrize("content", [None, b"b\xe9d\n", b'{"body": "a"}\n'])
def test_nothing_is_made_for_what_cannot_be_read(
    run: Run, passages: Path, tmp_path: Path, content: bytes | None
) -> None:
    """Neither for a file that is not there, also as the second, nor for one whose first line is broken."""
    wrong, path = tmp_path / "wrong.jsonl", tmp_path / "rows.sqlite"
    if content is not None:
        wrong.write_bytes(content)
    files = [wrong] if content is not None else [passages, wrong]
    code, out, error = run("warm", *files, "--cache", path, "-m", TINY)
    assert (code, out) == (2, "")
    assert str(wrong) in error
    assert not path.exists()


@pytest.mark.parametrize("command", [("rerank", "sea"), ("explain", "sea", "--ranking")])
def test_a_document_in_the_place_of_a_file_is_a_wrong_use(run: Run, command: tuple[str, ...]) -> None:
    """Whatever its length: a name that no system takes is a file that is not there."""
    code, out, error = run(*command, "The sea is deep. " * 100, "-m", TINY)
    assert (code, out) == (2, "")
    assert "cannot be read" in error
    assert "name a file of texts" in error


# --- explain --------------------------------------------------------------------------------------------------------


def test_an_explanation_has_three_faces(run: Run, tmp_path: Path) -> None:
    """Text, data and a page: those of the library."""
    ours = Reranker.from_pretrained(TINY, threads=1).explain("red planet", PASSAGES[0])
    _, out, _ = run("explain", "red planet", PASSAGES[0], "-m", TINY)
    assert out == ours.to_text(color=False, width=100) + "\n"
    _, out, _ = run("explain", "red planet", PASSAGES[0], "-m", TINY, "--json")
    assert json.loads(out) == json.loads(json.dumps(ours.to_dict()))
    page = tmp_path / "page.html"
    assert run("explain", "red planet", PASSAGES[0], "-m", TINY, "--html", page) == (0, "", "")
    assert page.read_text(encoding="utf-8") == ours.to_html()


def test_a_file_is_one_document_or_a_ranking(run: Run, passages: Path) -> None:
    """As it is asked for; and only one of the ways at a time."""
    as_one = json.loads(run("explain", "red", "--file", passages, "-m", TINY, "--json")[1])
    assert as_one["document"] == passages.read_text()
    ranking = json.loads(run("explain", "red", "--ranking", passages, "-m", TINY, "--json", "-n", 2)[1])
    assert ranking["documents"] == 4
    assert [place["index"] for place in ranking["places"]] == expected_order("red")[:2]
    assert run("explain", "red", "Mars", "--file", passages)[0] == 2
    assert run("explain", "red")[0] == 2


# --- models and doctor ----------------------------------------------------------------------------------------------


def test_models_are_listed_with_licence_and_size(run: Run, tmp_path: Path) -> None:
    """The bundled one is here; of an empty hub cache nothing else is."""
    found = json.loads(run("models", "--cache-dir", tmp_path, "--json")[1])
    bundled, *others = found
    assert bundled["name"] == "bundled"
    assert bundled["size_bytes"] > 1_000_000
    assert {model["size_bytes"] for model in others} == {None}
    assert all(model["licence"] for model in found)
    assert run("models", "--cache-dir", tmp_path, "--here")[1].count("\n") == 1


def test_models_of_the_hubs_cache_are_found_offline(run: Run, tmp_path: Path) -> None:
    """Known or not, and one that is there in part says what it lacks."""
    commit = "a" * 40
    for name, whole in (("someone--their-colbert", True), ("colbert-ir--colbertv2.0", False)):
        repository = tmp_path / f"models--{name}"
        snapshot = repository / "snapshots" / commit
        (snapshot / "1_Dense").mkdir(parents=True)
        for file in ("config.json", "tokenizer.json", "config_sentence_transformers.json", "modules.json"):
            (snapshot / file).write_bytes((GOLDEN / "bert-pylate" / file).read_bytes())
        if whole:
            (snapshot / "model.onnx").write_bytes(
                (GOLDEN / "bert-pylate" / "onnx" / "model.onnx").read_bytes()
            )
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(commit)
    (tmp_path / "models--someone--a-picture-model" / "snapshots" / commit).mkdir(parents=True)
    code, out, _ = run("models", "--cache-dir", tmp_path, "--here", "--json")
    found = {model["name"]: model for model in json.loads(out)}
    assert code == 0
    assert set(found) == {"bundled", "colbert-ir/colbertv2.0", "someone/their-colbert"}
    theirs = found["someone/their-colbert"]
    assert (theirs["known"], theirs["revision"], theirs["document_length"]) == (False, commit, 48)
    assert "has none of" in found["colbert-ir/colbertv2.0"]["problem"]
    assert "in part" in run("models", "--cache-dir", tmp_path, "--here")[2]


def test_doctor_ends_with_0_for_a_whole_model(run: Run, copy_of: Callable[..., Path]) -> None:
    """A warning is no failure."""
    code, out, _ = run("doctor", copy_of(), "--threads", 1)
    assert code == 0
    assert re.search(r"processors: \d+, threads: 1; laterank .*onnxruntime \d", out.splitlines()[0])
    assert out.rstrip().splitlines()[-1].endswith("to look at")


def test_doctor_ends_with_1_and_the_cure_for_a_broken_one(run: Run, copy_of: Callable[..., Path]) -> None:
    """For people and for programs."""
    folder = copy_of()
    (folder / "onnx" / "model.onnx").write_bytes(b"")
    code, out, _ = run("doctor", folder)
    assert code == 1
    assert "download or copy it again" in out
    code, out, _ = run("doctor", folder, "--json")
    data = json.loads(out)
    assert (code, data["healthy"]) == (1, False)
    assert {finding["status"] for finding in data["findings"]} <= {"ok", "warning", "failed", "skipped"}
    assert data["environment"]["packages"]["laterank"]


def test_doctor_records_a_model_that_is_well_only(run: Run, copy_of: Callable[..., Path]) -> None:
    """And checks the next time against it."""
    folder = copy_of()
    assert run("doctor", folder, "--record")[0] == 0
    assert "16 scores are within" in run("doctor", folder)[1]
    (folder / "golden.json").unlink()
    (folder / "tokenizer.json").unlink()
    code, _, error = run("doctor", folder, "--record")
    assert code == 1
    assert "nothing is recorded" in error
    assert not (folder / "golden.json").exists()


def test_doctor_of_a_model_that_is_not_there_says_so(run: Run) -> None:
    """With the name that was meant."""
    code, out, _ = run("doctor", "bundeld", "--offline")
    assert code == 1
    assert "files" in out

"""The command line at narrow terminals, at plain ones, and in a pipe: whole words, and no escapes that nobody asked for."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import GOLDEN
from support_terminal import at_terminal

pytest.importorskip("typer", reason="the command line needs the extra laterank[cli]")
pytest.importorskip("ir_measures", reason="measuring needs the extra laterank[evaluate]")

from laterank.cli import main
from laterank.cli.app import COMMANDS
from laterank.explanation.terminal import columns_of

TINY = str(GOLDEN / "bert-pylate")
ESCAPE = "\x1b"
MESSAGE = re.compile(r"^laterank: .*$", re.MULTILINE)
"""A warning, one line whatever the terminal, so that what it names can be copied."""
OTHER = re.compile(r"[\d.,/:()+-]+|ms|s|it|.*query/s.*|reranking.*|in|passage")
"""Times and bars, which no two runs share, and the name of a column that there is room for on wide terminals only."""
WORD = re.compile(r"[\w@.,/()+:=-]+")
TEXTS = {
    "mars-rover-2020": "Mars is called the Red Planet.",
    "venus-express-2005": "Venus is uncharacteristically hot.",
}
HELP = [(), *((command,) for command in COMMANDS), ("cache", "prune")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a judged collection, which is a file of documents, too."""
    lines = [json.dumps({"_id": key, "id": key, "text": text}) for key, text in TEXTS.items()]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "Which planet is red?"}', encoding="utf-8")
    (tmp_path / "qrels.tsv").write_text("q1\tmars-rover-2020\t1\n", encoding="utf-8")
    return tmp_path


def commands(folder: Path) -> Iterator[tuple[object, ...]]:
    """Yield a use of every command that writes a table or more."""
    models = ("-m", TINY, "-m", f"{TINY},truncate_dim=4")
    yield ("rerank", "red", folder / "corpus.jsonl", "-m", TINY)
    yield ("evaluate", folder, *models, "--timed", 1)
    yield ("compare", folder, *models, "--explain", 1)
    yield ("explain", "red", "Mars is red.", "-m", TINY)
    yield ("models",)
    yield ("doctor", TINY)
    yield ("rerank", "red", "nowhere.txt")
    yield ("rerank", "red", "--nonsense")


def help_of(command: tuple[str, ...], columns: int, capsys: pytest.CaptureFixture[str]) -> str:
    """Return a command's help at so many columns, without escapes."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COLUMNS", str(columns))
        assert main([*command, "--help"]) == 0
    return re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)


@pytest.mark.parametrize("command", HELP, ids=lambda command: " ".join(command) or "laterank")
@pytest.mark.parametrize("columns", [40, 60])
def test_help_has_whole_words_at_narrow_terminals(
    command: tuple[str, ...], columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every option has its whole name there, and its help reads as it does where there is room."""
    narrow, wide = (help_of(command, width, capsys) for width in (columns, 400))
    assert max(map(columns_of, narrow.splitlines())) <= columns
    assert "…" not in narrow
    options = set(re.findall(r"--\w[\w-]+", wide))
    assert {"--help"} <= options <= set(re.findall(r"--\w[\w-]+", narrow))
    if "Commands:" not in narrow:  # what a list of commands says of each is cut, at a blank
        words = {
            word
            for word in re.findall(r"\w{3,}", wide)
            if word not in ("str", "path", "bool", "int", "float")
        }
        assert words <= set(re.findall(r"\w{3,}", narrow))


def test_a_table_becomes_a_list_where_words_would_break(folder: Path) -> None:
    """Names, numbers and words of every row are whole at 40 columns, in the tables of all commands."""
    for command in list(commands(folder))[:5]:
        code, wide = at_terminal(*command, columns=200, NO_COLOR="1")
        _, narrow = at_terminal(*command, columns=40, NO_COLOR="1")
        assert code == 0
        narrow = "\n".join(line.rpartition("\r")[2] for line in narrow.replace("\r\n", "\n").splitlines())
        wide, narrow = (MESSAGE.sub("", written) for written in (wide, narrow))
        assert max(map(columns_of, narrow.splitlines())) <= 40
        assert "…" not in narrow
        words = {word for word in WORD.findall(wide) if len(word) <= 24 and not OTHER.fullmatch(word)}
        assert {word for word in words if word not in narrow} == set(), command


def test_a_table_is_drawn_where_it_fits(folder: Path) -> None:
    """Side by side, as long as no word is broken for it."""
    command = ("rerank", "red", folder / "corpus.jsonl", "-m", TINY)
    _, wide = at_terminal(*command, columns=60, NO_COLOR="1")
    _, narrow = at_terminal(*command, columns=40, NO_COLOR="1")
    assert re.search(r"rank +score +id +text", wide)
    assert re.search(r"^id +mars-rover-2020\r?$", narrow, re.MULTILINE)


def test_nothing_is_escaped_where_nobody_wants_it(folder: Path) -> None:
    """Neither colours nor bold letters, in help, results and errors."""
    for command in (("--help",), ("rerank", "--help"), *commands(folder)):
        assert ESCAPE not in at_terminal(*command, NO_COLOR="1")[1], command
    for command in (("rerank", "--help"), next(commands(folder))):
        assert ESCAPE not in at_terminal(*command, TERM="dumb")[1], command
    assert ESCAPE in at_terminal("rerank", "--help")[1]  # which shows that a terminal would get some


def test_a_pipe_gets_no_escapes(folder: Path) -> None:
    """Whatever the terminal is that the shell runs in."""
    for command in (("--help",), *commands(folder)):
        done = subprocess.run(
            [sys.executable, "-m", "laterank", *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ESCAPE not in done.stdout + done.stderr, command


def test_long_work_says_that_it_goes_on(folder: Path) -> None:
    """With what it is at and for how long, at a terminal alone; what is said then goes away."""
    command = ("rerank", "red", folder / "corpus.jsonl", "-m", TINY)
    assert re.search(r"reranking 2 documents.*0:00:0", at_terminal(*command)[1])
    assert "reranking" not in at_terminal(*command, NO_COLOR="1")[1]

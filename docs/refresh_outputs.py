"""Run the Python and console blocks of README and docs and write down what they print: ``make outputs``."""

from __future__ import annotations

import io
import os
import re
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import mkdtemp

from console import PAGES, ROOT, Shell, matches, steps

BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)


def refreshed(page: Path) -> str:
    """Return the page with every text block that follows a Python block replaced by that block's output."""
    text = page.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": f"page_{page.stem}"}
    shell = Shell(Path(mkdtemp()))
    pieces, end, printed = [], 0, None
    for block in BLOCK.finditer(text):
        if block["language"] == "python":
            output = io.StringIO()
            with redirect_stdout(output):
                exec(compile(block["body"], str(page), "exec"), names)
            printed = output.getvalue()
        elif block["language"] == "text" and printed is not None:
            pieces += [text[end : block.start("body")], printed.strip() + "\n"]
            end, printed = block.end("body"), None
        elif block["language"] == "console" and steps(block["body"]):
            pieces += [text[end : block.start("body")], console(block["body"], shell)]
            end = block.end("body")
    return "".join([*pieces, text[end:]])


def console(body: str, shell: Shell) -> str:
    """Return a console block with what its commands print; what leaves something open with "..." stays where it still matches."""
    shown = []
    for step in steps(body):
        printed = shell.run(step.command)
        stays = "..." in step.shown and matches(printed, step.shown)
        shown.append(step.typed + (step.shown if stays else printed))
    return "".join(shown)


def main() -> None:
    """Refresh every page whose output changed."""
    os.chdir(ROOT)
    os.environ["HOME"] = os.environ["USERPROFILE"] = mkdtemp()  # pages keep caches in the reader's home
    for page in PAGES:
        if (text := refreshed(page)) != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
            print(f"refreshed {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

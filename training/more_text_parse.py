"""Reading docstrings, code, dictionaries, ontologies and two kinds of plain documentation."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from more_text_prose import Record, packed, paragraphs_of, plain_markdown, plain_pod, plain_rst

CODE_CHARS = (240, 1300)
NUMPY_SECTION = re.compile(r"^(?P<name>[A-Z][A-Za-z ]{2,30})\n(?:-{3,}|={3,}|~{3,})[ ]*$", re.MULTILINE)
KEPT_SECTIONS = ("Notes", "Description", "Explanation", "Theory", "Background", "Details", "Algorithm")
LISTING = re.compile(
    r"\A---.*?\n---\s*\n|^```.*?^```|^~~~.*?^~~~|<!--.*?-->|\$\$.*?\$\$", re.DOTALL | re.MULTILINE
)


def doc_parts(doc: str) -> Iterator[tuple[str, list[str]]]:
    """Split a docstring at numpy-style headings and keep the narrative parts."""
    parts = NUMPY_SECTION.split(doc)
    narrative = re.split(r"\n\s*(?:Args|Arguments|Parameters|Returns|Examples?|Raises):?\s*\n", parts[0])[0]
    yield "", paragraphs_of(narrative)
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if name.strip() in KEPT_SECTIONS:
            yield name.strip(), paragraphs_of(body)


def documented(source: str) -> Iterator[tuple[ast.AST, str, str]]:
    """Walk a module's own, its classes' and its functions' docstrings."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            doc = ast.get_docstring(node, clean=False)
            name = getattr(node, "name", "")
            if doc and len(doc) > 30 and not name.startswith("__"):
                yield node, name, inspect.cleandoc(doc)


def docstring_records(source: str) -> Iterator[Record]:
    """Read the narrative of docstrings: first sentence as the title, the rest as the text."""
    for _, name, doc in documented(source):
        parts = list(doc_parts(doc))
        summary, *rest = parts[0][1] or [""]
        body = [paragraph for _, part in [("", rest), *parts[1:]] for paragraph in part]
        title = summary.rstrip(".") if len(summary.split()) <= 20 else spoken(name)
        body = body if len(summary.split()) <= 20 else [summary, *body]
        yield from packed((title, "", body))


def spoken(name: str) -> str:
    """Turn an identifier into words."""
    return " ".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").split()).lower()


def code_records(source: str) -> Iterator[Record]:
    """Read functions without their docstring; its first sentence is the title."""
    lines = source.splitlines()
    for node, name, doc in documented(source):
        summary = plain_rst(doc.split("\n\n")[0])
        if (
            not isinstance(node, ast.FunctionDef)
            or not 4 <= len(summary.split()) <= 25
            or name.startswith("test")
        ):
            continue
        first = node.body[0]
        kept = lines[node.lineno - 1 : first.lineno - 1] + lines[first.end_lineno or 0 : node.end_lineno]
        text = textwrap.dedent("\n".join(line.rstrip() for line in kept if line.strip()))
        if CODE_CHARS[0] <= len(text) <= CODE_CHARS[1] and len(node.body) > 2:
            yield {"title": summary.rstrip("."), "section": name, "text": text}


def dictionary_records(text: str) -> Iterator[Record]:
    """Read a dictd file: headwords at the margin, the definition indented."""
    for entry in re.split(r"\n(?=\S)", text):
        head, _, body = entry.partition("\n")
        body = re.sub(r"\{([^{}]*)\}", r"\1", textwrap.dedent(body))
        body = re.sub(r"<[\w\s,.-]+>|\(?https?://\S+|\(\d{4}-\d\d-\d\d\)|\[[^\]]{0,80}\]|/[^/\s]+/", "", body)
        yield from packed((head.strip(), "", paragraphs_of(textwrap.dedent(body).strip())))


def disease_records(text: str) -> Iterator[Record]:
    """Read UniProt's disease descriptions out of GNU Health's XML."""
    for record in ET.fromstring(text).iter("record"):
        fields = {field.get("name"): field.text or "" for field in record.iter("field")}
        body = re.sub(r"(\w)- (?=[a-z])", r"\1-", fields.get("description", ""))
        yield from packed((fields.get("disease_name", ""), "", [body]), 30)


def ontology_records(text: str) -> Iterator[Record]:
    """Read the terms of an ontology that have a long definition."""
    for term in json.loads(text).values():
        body = re.sub(r"\s*\[[^\]]*\]|\.(?=\.)", "", term.get("description", "")).replace("\n", " ")
        if not term.get("deprecated"):
            yield from packed((term.get("label", ""), "", [body]), 30)


def pod_records(text: str) -> Iterator[Record]:
    """Read Perl's documentation: commands start with an equals sign, listings are indented."""
    title, name, paragraphs = "", "", list[str]()
    for block in re.split(r"\n\s*\n", text):
        command = re.match(r"=(head\d|item)\s+(.*)", block, re.DOTALL)
        if command and command[1] != "item":
            yield from packed((title or name, name, paragraphs))
            name, paragraphs = plain_pod(command[2]), []
            title = title if title not in ("", "NAME") else ""
        elif not block.startswith(("=", " ", "\t")):
            if name == "NAME" and " - " in block:
                title = plain_pod(block.split(" - ", 1)[1])
            else:
                paragraphs.append(plain_pod(block))
    yield from packed((title or name, name, paragraphs))


def markdown_records(text: str) -> Iterator[Record]:
    """Read an R vignette: the title from its header, sections from number signs, no listings or tables."""
    header = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", text, re.MULTILINE)
    title = plain_markdown(header[1]) if header else ""
    body = LISTING.sub("", text)
    name, paragraphs = "", list[str]()
    for block in re.split(r"\n\s*\n|\n(?=#)|(?<=#)\s*\n", body):
        found = re.match(r"#+\s*(.+)", block)
        if found:
            yield from packed((title, name, paragraphs))
            name, paragraphs = plain_markdown(found[1]), []
        elif not block.startswith(("    ", "|", "<", "!", "\t")):
            paragraphs.append(
                plain_markdown(re.sub(r"^\s*(?:[-*>]|\d+\.)\s+", "", block, flags=re.MULTILINE))
            )
    yield from packed((title, name, paragraphs))

"""Every page that laterank makes, of texts and names that try to be markup, or to stick out."""

from pathlib import Path

from test_explanation_html import HOSTILE

from laterank import Reranker
from laterank.evaluation import Collection, Comparison, Evaluation, compare, evaluate

__all__ = ["MARS", "PAGES", "QUERY", "write_pages"]

PAGES = ["one", "hostile", "unbreakable", "rtl", "long", "ranking", "notebook", "comparison", "evaluation"]
QUERY = "Which planet is known as the Red Planet?"
MARS = "Mars, known for its reddish appearance, is often referred to as the Red Planet."
DOCUMENTS = [
    "Venus is often called Earth's twin.",
    "unbreakable" * 60,
    f"{HOSTILE} Mars is the Red Planet.",
    MARS,
    "الكوكب الأحمر هو المريخ 🚀 日本語の文章 " * 10,
    "",
    "planet " * 400,
]
COLLECTION = Collection(
    HOSTILE,
    dict(zip("abcdef", DOCUMENTS, strict=False)),
    {HOSTILE: QUERY, "q": f"{'hot' * 60} {HOSTILE}", "r": "日本語" * 30},
    {"q": {"a": 1, HOSTILE: 1}, "r": {"e": 1}, "nobody": {"a": 1}},
)


def write_pages(folder: Path) -> None:
    """Write one file a page, called as in ``PAGES``."""
    model = Reranker.from_pretrained(threads=1)
    small = Reranker.from_pretrained(truncate_dim=2, threads=1)
    mars = model.explain(QUERY, MARS)
    found = {
        "one": mars.to_html(),
        "hostile": model.explain(f"{QUERY} {HOSTILE}", DOCUMENTS[2]).to_html(),
        "unbreakable": model.explain("unbreakable" * 30, DOCUMENTS[1]).to_html(),
        "rtl": model.explain("ما هو الكوكب الأحمر؟", DOCUMENTS[4]).to_html(),
        "long": model.explain(QUERY, DOCUMENTS[6]).to_html(),
        "ranking": model.explain_ranking(QUERY, DOCUMENTS, top_n=3).to_html(),
        "notebook": _notebook([mars._repr_html_(), model.explain(QUERY, DOCUMENTS[0])._repr_html_()]),
        "comparison": _compared(model, small).to_html(),
        "evaluation": _evaluated(model, small, folder).to_html(),
    }
    assert list(found) == PAGES
    for name, page in found.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")


def _notebook(cells: list[str]) -> str:
    """Return cells of a notebook, the first of them twice, among the rules that notebooks have for their output."""
    return (
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<link rel=icon href='data:,'><style>.output.output ol, .output.output p { padding-left: 2em }"
        ".output tr:nth-child(odd), .output tr:hover { background: #222222 }</style><div class=output>"
        f"{''.join([*cells, cells[0]])}</div>"
    )


def _compared(model: Reranker, small: Reranker) -> Comparison:
    run = {query: list(COLLECTION.documents) for query in COLLECTION.queries}
    return compare(COLLECTION, {HOSTILE: model, "small": small}, run=run, explained=2)


def _evaluated(model: Reranker, small: Reranker, folder: Path) -> Evaluation:
    """Evaluate models after a first stage with a long name, under long names, one of them twice as wide as its letters."""
    run = folder / f"<img src=x onerror=alert(3)>{'unbreakable' * 15}.run"
    run.write_text("q Q0 b 1 2.5 x\nq Q0 a 2 1.5 x\n", encoding="utf-8")
    models = {HOSTILE: model, "unbreakable" * 20: small, "日本語の模型" * 10: small}
    return evaluate(COLLECTION, models, run=run, fusion="rrf", timed_queries=1)

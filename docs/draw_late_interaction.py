"""Draw how late interaction works, with the bundled model's real tokens and similarities; make_figures.py calls it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.patches import ConnectionPatch, FancyBboxPatch, Rectangle

from laterank import ColbertEncoder

INK, MUTED, PAPER = "#1f2430", "#5b6375", "#ffffff"
KEPT, ASKED, BOTH = "#c2410c", "#1d4ed8", "#4b5563"
"""What is made of a passage once, what of each question, and what of both together."""
HEAT = LinearSegmentedColormap.from_list("heat", [PAPER, "#fed7aa", KEPT])
QUESTION = "Which planet is the Red Planet?"
PASSAGES = ("Mars is called the Red Planet.", "Venus is Earth's twin.")


def draw_maxsim(images: Path) -> Path:
    """Draw every similarity of a question's tokens and those of two passages, with each row's best and their sum."""
    encoder = ColbertEncoder.from_pretrained()
    query_labels = [token.text for token in encoder.read_query(QUESTION).tokens]
    [query] = encoder.encode_queries([QUESTION])
    matrices = [query @ rows.T for rows in encoder.encode_documents(PASSAGES)]
    figure, panels = plt.subplots(
        1,
        len(PASSAGES),
        figsize=(11.5, 5.2),
        sharey=True,
        layout="constrained",
        facecolor=PAPER,
        width_ratios=[matrix.shape[1] + 1.6 for matrix in matrices],
    )
    lowest = min(matrix.min() for matrix in matrices)
    for axes, text, matrix in zip(panels, PASSAGES, matrices, strict=True):
        axes.imshow(matrix, cmap=HEAT, vmin=lowest, vmax=1, aspect="auto")
        _write_values(axes, matrix, lowest)
        labels = [token.text for token in encoder.read_document(text).tokens]
        axes.set_xticks(range(len(labels)), labels, rotation=35, ha="left", rotation_mode="anchor")
        axes.xaxis.tick_top()
        axes.set_xlim(-0.5, matrix.shape[1] + 1.1)
        axes.set_xlabel(f"“{text}”", color=INK, fontsize=11, labelpad=6)
        axes.tick_params(colors=INK, length=0, labelsize=9.5)
        axes.spines[:].set_visible(False)
    panels[0].set_yticks(range(len(query_labels)), query_labels)
    return _save(figure, images / "maxsim.svg")


def _write_values(axes: Axes, matrix: Sequence[Sequence[float]], lowest: float) -> None:
    """Write each similarity into its cell, frame each row's best, and write those and their sum at the right."""
    total = 0.0
    for row, similarities in enumerate(matrix):
        best = max(range(len(similarities)), key=similarities.__getitem__)
        total += similarities[best]
        for column, value in enumerate(similarities):
            red, green, blue, _ = HEAT((value - lowest) / (1 - lowest))
            dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45
            axes.text(
                column,
                row,
                f"{value:.2f}",
                ha="center",
                va="center",
                fontsize=8.5,
                color=PAPER if dark else INK,
                fontweight="bold" if column == best else "normal",
            )
        axes.add_patch(Rectangle((best - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.8))
        axes.text(len(similarities), row, f"{similarities[best]:.2f}", va="center", fontsize=9.5, color=INK)
    at = len(matrix) - 0.05
    axes.text(len(similarities), at, f"{total:.2f}", va="center", fontsize=11, color=KEPT, fontweight="bold")
    axes.text(len(similarities) - 0.6, at, "MaxSim =", va="center", ha="right", fontsize=10.5, color=INK)
    axes.set_ylim(len(matrix) + 0.35, -0.5)


def draw_three_ways(images: Path) -> Path:
    """Draw a single vector, late interaction and a cross-encoder side by side: what meets, and what is kept."""
    figure, panels = plt.subplots(1, 3, figsize=(11.5, 4.4), layout="constrained", facecolor=PAPER)
    for axes in panels:
        axes.set(xlim=(0, 10), ylim=(0, 10))
        axes.axis("off")
    for axes, vectors in zip(panels[:2], (1, 6), strict=True):
        for x, colour, what in ((0.6, ASKED, "question"), (5.6, KEPT, "passage")):
            _box(axes, x, 0.5, 3.8, 1.2, what, colour, filled=False)
            _box(axes, x, 2.9, 3.8, 1.2, "network", colour)
            _arrow(axes, (x + 1.9, 1.7), (x + 1.9, 2.9))
            _arrow(axes, (x + 1.9, 4.1), (x + 1.9, 5.0))
            _vectors(axes, x + 1.9, vectors, colour)
    _arrow(panels[0], (2.5, 6.2), (4.6, 8.4))
    _arrow(panels[0], (7.5, 6.2), (5.4, 8.4))
    _arrow(panels[1], (5, 7.5), (5, 8.4))
    for asked, met in enumerate((2, 0, 3, 3, 5, 4)):
        start = (2.5 + (asked - 2.5) * 0.62, 6.2)
        end = (7.5 + (met - 2.5) * 0.62, 6.2)
        panels[1].add_patch(
            ConnectionPatch(
                start,
                end,
                "data",
                connectionstyle=f"arc3,rad={-0.30 - 0.02 * asked}",
                color=MUTED,
                linewidth=1.1,
            )
        )
    cross = panels[2]
    _box(cross, 0.6, 0.5, 4.4, 1.2, "question", ASKED, filled=False)
    _box(cross, 5.0, 0.5, 4.4, 1.2, "passage", KEPT, filled=False)
    _box(cross, 0.6, 2.9, 8.8, 2.6, "network", BOTH)
    _arrow(cross, (2.8, 1.7), (2.8, 2.9))
    _arrow(cross, (7.2, 1.7), (7.2, 2.9))
    _arrow(cross, (5, 5.5), (5, 8.4))
    captions = (
        ("Single vector", "one product; the passage's vector is kept"),
        ("Late interaction", "each token finds its best; the passage's rows are kept"),
        ("Cross-encoder", "read together; nothing can be kept"),
    )
    for axes, (title, caption) in zip(panels, captions, strict=True):
        axes.text(5, 8.9, "score", ha="center", va="center", fontsize=11.5, color=INK)
        axes.set_title(title, fontsize=13, fontweight="bold", color=INK)
        axes.text(5, -0.35, caption, ha="center", va="center", fontsize=10, color=MUTED)
    return _save(figure, images / "three-ways.svg")


def draw_tokens(images: Path) -> Path:
    """Draw what the network reads of a question, with expansion and without, and of a passage."""
    encoder = ColbertEncoder.from_pretrained()
    question = [(token.text, token.role) for token in encoder.read_query(QUESTION).tokens]
    strips = [
        ("question", question),
        (
            "question, for a model with expansion",
            [*question, *[("[MASK]", "expansion")] * 3, ("… 32", "expansion")],
        ),
        ("passage", _with_punctuation(encoder, PASSAGES[0])),
    ]
    colours = {"text": INK, "marker": KEPT, "expansion": ASKED, "skipped": MUTED}
    figure, axes = plt.subplots(figsize=(11.5, 3.5), layout="constrained", facecolor=PAPER)
    for row, (name, tokens) in enumerate(strips):
        y = 2 * (len(strips) - row)
        axes.text(0, y + 0.95, name, fontsize=10.5, color=MUTED, va="bottom")
        x = 0.0
        for text, role in tokens:
            width = 0.32 + 0.155 * len(text)
            _box(
                axes,
                x,
                y,
                width,
                0.8,
                text,
                colours.get(role, BOTH),
                filled=role in ("marker", "expansion"),
                dashed=role == "skipped",
                size=9.5,
            )
            x += width + 0.12
    legend = (
        (0.0, "marker: question or passage?", KEPT),
        (5.0, "expansion: mask tokens that the network fills", ASKED),
        (11.4, "dashed: read, but gives no row", MUTED),
    )
    for x, text, colour in legend:
        axes.text(x, 0.9, text, fontsize=10.5, color=colour, va="center", fontweight="bold")
    axes.set(xlim=(-0.1, 16.6), ylim=(0.5, 7.7))
    axes.axis("off")
    return _save(figure, images / "tokens.svg")


def _with_punctuation(encoder: ColbertEncoder, text: str) -> list[tuple[str, str]]:
    """Return a passage's tokens in their order, those among them that give no row."""
    scored = encoder.read_document(text).tokens
    covered = {
        place for token in scored if token.start is not None for place in range(token.start, token.end or 0)
    }
    skipped = [place for place, sign in enumerate(text) if place not in covered and not sign.isspace()]
    words = [(token.start, token.text, token.role) for token in scored if token.start is not None]
    inside = sorted([*words, *((place, text[place], "skipped") for place in skipped)])
    first = [(token.text, token.role) for token in scored if token.role in ("start", "marker")]
    last = [(token.text, token.role) for token in scored if token.role == "end"]
    return [*first, *((word, role) for _, word, role in inside), *last]


def _box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    text: str,
    colour: str,
    *,
    filled: bool = True,
    dashed: bool = False,
    size: float = 11,
) -> None:
    style = "round,pad=0,rounding_size=0.18"
    face = colour if filled else PAPER
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle=style,
            facecolor=face,
            edgecolor=colour,
            linewidth=1.4,
            linestyle="--" if dashed else "-",
        )
    )
    ink = PAPER if filled and sum(to_rgb(colour)) < 1.9 else colour
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", color=ink, fontsize=size)


def _vectors(axes: Axes, centre: float, count: int, colour: str) -> None:
    for number in range(count):
        x = centre + (number - (count - 1) / 2) * 0.62
        axes.add_patch(Rectangle((x - 0.19, 5.0), 0.38, 1.2, facecolor=colour, edgecolor=PAPER))


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.3})


def _save(figure: plt.Figure, path: Path) -> Path:
    figure.savefig(path, metadata={"Date": None}, facecolor=PAPER)
    plt.close(figure)
    return path

"""Passages, questions and models that the tests of the LangChain and LlamaIndex adapters share."""

import functools
import subprocess
import sys
from pathlib import Path

from laterank import Reranker

TINY_MODEL = Path(__file__).parent / "golden" / "bert-pylate"

# Three answers among passages that share words with the questions, or nothing at all.
PASSAGES = {
    "museum": "Who discovered which star, and when, is told in the catalogue of the museum in Greenwich.",
    "penicillin": (
        "Alexander Fleming discovered penicillin, the first antibiotic, in 1928, when mould killed the "
        "bacteria in one of his dishes."
    ),
    "honey": "Honey bees make honey from the nectar that they collect from flowers.",
    "castling": "In chess, castling moves the king two squares towards one of the rooks.",
    "everest": "Mount Everest, at 8,849 metres above sea level, is the highest mountain on Earth.",
    "wages": "The highest wages in the world are paid in the world's largest cities.",
    "espresso": "Espresso is brewed by forcing hot water through finely ground coffee beans.",
    "tides": "The ocean tides rise and fall because the gravity of the Moon and the Sun pulls on the water.",
    "war": "The causes of the war were many, and the causes of the peace were few.",
    "charter": "King John of England sealed Magna Carta at Runnymede in June 1215.",
    "battery": "A lithium-ion battery stores energy by moving lithium ions between two electrodes.",
    "names": "The Domain Name System translates the names of hosts into the addresses of servers.",
}
ANSWERS = {
    "Who discovered penicillin?": "penicillin",
    "What is the highest mountain in the world?": "everest",
    "What causes the ocean tides?": "tides",
}
QUESTION, ANSWER = "Who discovered penicillin?", "penicillin"


@functools.cache
def bundled_reranker() -> Reranker:
    """Load the embedded model once for all tests."""
    return Reranker.from_pretrained()


@functools.cache
def tiny_reranker() -> Reranker:
    """Load the tiny model, whose weights are random, once for all tests; it keeps no documents."""
    return Reranker.from_pretrained(TINY_MODEL, cache=False)


def run_python(program: str) -> str:
    """Run a program in a fresh interpreter and return what it printed."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout

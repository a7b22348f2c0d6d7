"""Does reranking help on your data, and where do two models disagree? ``pip install "laterank[evaluate]"``."""

from laterank.evaluation.collection import Collection
from laterank.evaluation.compare import compare
from laterank.evaluation.comparison import Comparison, QueryAgreement
from laterank.evaluation.evaluate import evaluate
from laterank.evaluation.evaluation import Evaluation, SystemResult
from laterank.evaluation.judgements import read_judgements, read_run
from laterank.evaluation.reading import read_collection
from laterank.evaluation.reranking import Timing
from laterank.evaluation.statistics import Estimate

__all__ = [
    "Collection",
    "Comparison",
    "Estimate",
    "Evaluation",
    "QueryAgreement",
    "SystemResult",
    "Timing",
    "compare",
    "evaluate",
    "read_collection",
    "read_judgements",
    "read_run",
]

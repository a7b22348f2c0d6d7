"""Why a document scored what it scored, as data, for a terminal and as a page."""

from laterank.encoding.reading import Reading, Token, Window
from laterank.explanation.alignment import Match
from laterank.explanation.ranking import Place, RankingExplanation, Reason
from laterank.explanation.single import Explanation

__all__ = ["Explanation", "Match", "Place", "RankingExplanation", "Reading", "Reason", "Token", "Window"]

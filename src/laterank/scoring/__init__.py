"""Late interaction's score, over rows in any form that a cache keeps them in."""

from laterank.scoring.scores import maxsim

__all__ = ["maxsim"]

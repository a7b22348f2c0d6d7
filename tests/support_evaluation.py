"""A judged collection so small that every number can be worked out by hand."""

from laterank.evaluation import Collection

COLLECTION = Collection(
    "tiny",
    documents={
        "mars": "Mars is called the Red Planet.",
        "venus": "Venus is Earth's twin, a planet of heat.",
        "jupiter": "Jupiter has a red spot.",
        "rose": "A rose is a rose.",
    },
    queries={"1": "Which planet is red?", "2": "Which planet is Earth's twin?", "3": "What is a rose?"},
    relevant={"1": {"mars": 2, "jupiter": 1}, "2": {"venus": 1}, "3": {"rose": 1}},
)

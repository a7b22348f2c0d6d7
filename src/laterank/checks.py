"""Checks of what callers pass: texts, queries, and how many results they want."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import inf, isnan
from numbers import Real
from operator import index
from pathlib import Path
from threading import TIMEOUT_MAX
from unicodedata import category

import numpy as np

from laterank.errors import InputError, InputTypeError

__all__ = [
    "as_float",
    "check_queries",
    "check_query",
    "check_texts",
    "checked_count",
    "checked_seconds",
    "checked_threshold",
    "checked_top_n",
    "documents_names",
    "expanded",
    "is_blank",
]

SEEN_AT_ONCE = 256
INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Cs"})
"""Unicode categories without anything to read: control and format characters, what is unassigned, lone surrogates."""


def check_texts(texts: Sequence[str], what: str, *, first: int = 0) -> Sequence[str]:
    """Return the texts if they are texts.

    Args:
        texts: What was given.
        what: Its name, for the error.
        first: The position of the first of them, where they are a piece of something longer.

    Raises:
        InputTypeError: If this is one string, or an item is no string, naming its position.
    """
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Sequence):
        raise InputTypeError(
            f"{what} is {type(texts).__name__}, expected a sequence of strings, such as a list"
        )
    for position, text in enumerate(texts, start=first):
        if not isinstance(text, str):
            raise InputTypeError(f"{what}[{position}] is {type(text).__name__}, expected a string")
    return texts


def is_blank(text: str) -> bool:
    """Tell whether a text has nothing to read: only spaces, control characters and invisible marks such as U+200B."""
    if text[:1].isalnum():  # as most texts do, by the million
        return False
    for part in (text[:SEEN_AT_ONCE], set(text)):  # of a long text each sign once
        if not all(character.isspace() or category(character) in INVISIBLE for character in part):
            return False
    return True


def check_query(query: str, name: str) -> None:
    """Refuse what is no text, and what has nothing to rank by.

    Raises:
        InputTypeError: If it is no string.
        InputError: If it is blank.
    """
    if not isinstance(query, str):
        raise InputTypeError(f"{name} is {type(query).__name__}, expected a string")
    if is_blank(query):
        raise InputError(f"{name} is blank ({query!r}); there is nothing to rank by")


def check_queries(queries: Sequence[str], documents_per_query: Sequence[Sequence[str]]) -> None:
    """Refuse lists that do not match, naming query and position of what is wrong.

    Raises:
        InputTypeError: If a query or a document is no string, or there are no lists.
        InputError: If a query is blank, or there are not as many lists as queries.
    """
    check_texts(queries, "queries")
    for position, query in enumerate(queries):
        check_query(query, f"queries[{position}]")
    if isinstance(documents_per_query, (str, bytes)) or not isinstance(documents_per_query, Sequence):
        kind = type(documents_per_query).__name__
        raise InputTypeError(f"documents_per_query is {kind}, expected one list of strings for each query")
    if len(documents_per_query) != len(queries):
        raise InputError(
            f"there are {len(queries)} queries and {len(documents_per_query)} lists of documents"
        )
    for name, documents in zip(documents_names(len(queries)), documents_per_query, strict=True):
        check_texts(documents, name)


def documents_names(queries: int) -> list[str]:
    """Return what to call each query's documents in an error."""
    return (
        ["documents"] if queries == 1 else [f"documents_per_query[{position}]" for position in range(queries)]
    )


def checked_top_n(top_n: int | None) -> int | None:
    """Return a whole number of at least 1, or None for all.

    Raises:
        InputTypeError: If it is no whole number.
        InputError: If it is less than 1.
    """
    return None if top_n is None else checked_count(top_n, "top_n", otherwise=", or None for all")


def checked_count(count: int, name: str, *, least: int = 1, otherwise: str = "") -> int:
    """Return a whole number, numpy's among them.

    Args:
        count: What was given.
        name: Its name, for the error.
        least: The least that makes sense.
        otherwise: What else could have been given, for the error.

    Raises:
        InputTypeError: If it is no whole number.
        InputError: If it is less than ``least``.
    """
    try:
        number = None if isinstance(count, (bool, np.bool_)) else index(count)
    except TypeError:
        number = None
    if number is None:
        raise InputTypeError(f"{name} is {count!r}, expected a whole number of at least {least}{otherwise}")
    if number < least:
        raise InputError(f"{name} is {number}, expected at least {least}{otherwise}")
    return number


def checked_threshold(threshold: float | None) -> float | None:
    """Return a Python float, or None for no threshold.

    Raises:
        InputTypeError: If it is no number.
        InputError: If it is NaN.
    """
    if threshold is None:
        return None
    if isinstance(threshold, (bool, np.bool_)) or not isinstance(threshold, Real):
        raise InputTypeError(f"score_threshold is {threshold!r}, expected a number, or None")
    number = as_float(threshold)
    if isnan(number):
        raise InputError("score_threshold is NaN, which no score reaches; expected a number, or None")
    return number


def as_float(number: float) -> float:
    """Return a Python float, infinity for what no float can hold, such as ``10**400``."""
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with a home for ``~`` or ``~name``.

    Raises:
        InputError: If there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{path} has no home for its ~; write ./{path} for what has that name here"
        ) from error


def checked_seconds(seconds: float, name: str) -> float:
    """Return a time as a Python float.

    Raises:
        InputTypeError: If it is no number.
        InputError: If it is not above 0, or longer than a timer can wait.
    """
    if isinstance(seconds, (bool, np.bool_)) or not isinstance(seconds, Real):
        raise InputTypeError(f"{name} is {seconds!r}, expected a number of seconds above 0")
    number = as_float(seconds)
    if not 0 < number <= TIMEOUT_MAX:
        raise InputError(
            f"{name} is {number:g}, expected a number of seconds above 0 and at most {TIMEOUT_MAX:g}"
        )
    return number

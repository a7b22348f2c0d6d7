"""What one check found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from laterank.errors import LaterankError

__all__ = ["Finding", "Status", "failed", "from_error", "ok", "skipped", "warning"]

Status = Literal["ok", "warning", "failed", "skipped"]


COPY_AGAIN = "download or copy the model again"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: What was looked at.
        status: ``failed`` for what makes rankings wrong or impossible, ``warning`` for what may, ``skipped`` for what could
            not be looked at.
        found: What is there.
        expected: What should be; empty for ``ok``.
        cure: What to do; empty for ``ok``.
    """

    check: str
    status: Status
    found: str
    expected: str = ""
    cure: str = ""


def ok(check: str, found: str) -> Finding:
    """Say that all is well."""
    return Finding(check, "ok", found)


def failed(check: str, found: str, *, expected: str, cure: str) -> Finding:
    """Say that rankings are wrong or impossible."""
    return Finding(check, "failed", found, expected, cure)


def warning(check: str, found: str, *, expected: str, cure: str) -> Finding:
    """Say that rankings may be worse than they could be."""
    return Finding(check, "warning", found, expected, cure)


def skipped(check: str, why: str) -> Finding:
    """Say that a check could not be made."""
    return Finding(check, "skipped", why)


def from_error(
    check: str, error: LaterankError, *, expected: str, cure: str | None = None, otherwise: str = COPY_AGAIN
) -> Finding:
    """Make a finding of an error, whose message ends with the cure after its last semicolon.

    Args:
        check: What was looked at.
        error: What it raised.
        expected: What should be.
        cure: What to do, where that is known better than by the message.
        otherwise: What to do where the message has no cure.
    """
    found, separator, last = str(error).rpartition("; ")
    if not separator:
        found, last = str(error), otherwise
    return failed(check, found, expected=expected, cure=cure or last)

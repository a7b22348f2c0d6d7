"""Options that several commands share, as one parameter: typer knows single options only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Any, get_type_hints

__all__ = ["option_groups"]


def option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses whose fields are typer's options.

    The command line, and the help, have the fields in the place of such a parameter; the command gets the dataclass.
    """
    parameters = signature(command, eval_str=True).parameters
    groups: dict[str, Any] = {
        name: given.annotation for name, given in parameters.items() if is_dataclass(given.annotation)
    }
    flat = [option for parameter in parameters.values() for option in _flat(parameter)]

    @wraps(command)
    def flattened(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **made)

    flattened.__signature__ = signature(command).replace(parameters=flat)  # type: ignore[attr-defined]  # inspect's way
    flattened.__annotations__ = {option.name: option.annotation for option in flat}
    return flattened


def _flat(parameter: Parameter) -> Iterator[Parameter]:
    """Yield a parameter, or the fields of its dataclass, for being given by name."""
    group = parameter.annotation
    if not is_dataclass(group):
        yield parameter.replace(kind=Parameter.KEYWORD_ONLY)
        return
    types = get_type_hints(group, include_extras=True)
    for field in fields(group):
        yield Parameter(
            field.name, Parameter.KEYWORD_ONLY, default=_default(field), annotation=types[field.name]
        )


def _default(field: Field[Any]) -> Any:
    return Parameter.empty if field.default is MISSING else field.default

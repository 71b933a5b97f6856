"""From a YAML document and pydantic's errors to `file:line: field: what is wrong`.

ruamel.yaml remembers where every key stood; pydantic says which key is wrong. This module joins
the two and words the message for somebody who has never heard of either.
"""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from p4cats.topologies.checks import Location, closest, did_you_mean


class UnreadableError(Exception):
    """A file that is not there, or is not YAML; the message is one line that begins with its name."""


def read(path: str | Path) -> Any:
    """Return the YAML document in a file, with positions; UnreadableError if there is none."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UnreadableError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UnreadableError(f"{path}: cannot be read: {reason}") from None
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"{mark.line + 1}" if mark else "1"
        problem = str(error.problem or error.context or "cannot be parsed").splitlines()[0]
        raise UnreadableError(f"{path}:{line}: invalid YAML: {problem}") from None
    except YAMLError as error:
        raise UnreadableError(f"{path}: invalid YAML: {str(error).splitlines()[0]}") from None


def field(loc: Location) -> str:
    """Return a location as people write it: `links[2].delay`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def line_of(document: Any, loc: Location) -> int:
    """Return the line (from 1) of the deepest part of a location that the document has."""
    line = document.lc.line if hasattr(document, "lc") else 0
    node = document
    for part in loc:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0]
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0]
        else:
            break
        node = node[part]
    return int(line) + 1


def explain(path: str | Path, document: Any, error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one line for each problem in a ValidationError, in the order of the file."""
    found: list[tuple[int, str]] = []
    details = error.errors()
    unknown = [item["loc"] for item in details if item["type"] == "extra_forbidden"]
    meant = {
        (*loc[:-1], close) for loc in unknown if (close := closest(str(loc[-1]), _keys_at(model, loc[:-1])))
    }
    for item in details:
        if item["type"] == "missing" and item["loc"] in meant:
            continue  # the misspelt key is the cause, and is reported
        if item["type"] == "topology":
            several = item["ctx"]["problems"]
        else:
            loc = tuple(part for part in item["loc"] if part != "[key]")
            several = [(loc, _message(item, model))]
        for loc, message in several:
            line = line_of(document, loc)
            where = f"{field(loc)}: " if loc else ""
            found.append((line, f"{path}:{line}: {where}{message}"))
    return [text for _, text in sorted(found, key=lambda item: item[0])]


_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}

_SENTENCES = {
    "missing": "is missing",
    "model_type": "must be a mapping of keys to values{got}",
    "model_attributes_type": "must be a mapping of keys to values{got}",
    "dict_type": "must be a mapping of keys to values{got}",
    "tuple_type": "must be a list{got}",
    "int_type": "must be a whole number{got}",
    "float_type": "must be a number{got}",
    "float_parsing": "must be a number{got}",
    "string_pattern_mismatch": "must be a name of letters, digits, - and _ that begins with a letter{got}",
    "string_type": "must be text{got}",
    "string_too_long": "must have at most {max_length} characters{got}",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} entries (got {actual_length})",
}


def _message(details: ErrorDetails, model: type[BaseModel]) -> str:
    """Word one pydantic error."""
    kind, context = details["type"], details.get("ctx", {})
    got = f" (got {_show(details['input'])})"
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        known = _keys_at(model, details["loc"][:-1])
        hint = did_you_mean(str(details["loc"][-1]), known) or f"; known keys: {', '.join(known)}"
        return f"unknown key{hint}"
    if kind == "literal_error":
        return f"must be {context['expected'].replace(chr(39), '')}{got}"
    if kind in ("greater_than_equal", "greater_than", "less_than_equal", "less_than"):
        sign, limit = next(iter(context.items()))
        return f"must be {_LIMITS[sign]} {limit:g}{got}"
    if kind in _SENTENCES:
        return _SENTENCES[kind].format(got=got, **context)
    return details["msg"][0].lower() + details["msg"][1:]


def _show(value: object) -> str:
    """Return a value as it stands in the file, or what it is if that would be long."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    return str(value)


def _keys_at(model: type[BaseModel], loc: Location) -> list[str]:
    """Return the keys that the model at a location knows, in order."""
    kind: Any = model
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = {item.alias or name: item for name, item in kind.model_fields.items()}
            kind = _bare(fields[str(part)].annotation)
        else:  # the value type of a dict, or the item type of a tuple
            arguments = [item for item in typing.get_args(kind) if item is not Ellipsis]
            kind = _bare(arguments[-1])
    return [item.alias or name for name, item in kind.model_fields.items()]


def _bare(annotation: Any) -> Any:
    """Return an annotation without Annotated and without `| None`."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(item for item in typing.get_args(annotation) if item is not type(None))
    return annotation

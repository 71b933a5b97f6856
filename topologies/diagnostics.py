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

from p4cats.topologies.checks import Location, did_you_mean


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
    for details in error.errors():
        if details["type"] == "topology":
            several = details["ctx"]["problems"]
        else:
            loc = tuple(part for part in details["loc"] if part != "[key]")
            several = [(loc, _message(details, model))]
        for loc, message in several:
            line = line_of(document, loc)
            where = f"{field(loc)}: " if loc else ""
            found.append((line, f"{path}:{line}: {where}{message}"))
    return [text for _, text in sorted(found, key=lambda item: item[0])]


def _message(details: ErrorDetails, model: type[BaseModel]) -> str:
    """Word one pydantic error."""
    kind, context = details["type"], details.get("ctx", {})
    got = f" (got {_show(details['input'])})"
    match kind:
        case "value_error":
            return str(context["error"])
        case "missing":
            return "is missing"
        case "extra_forbidden":
            known = _keys_at(model, details["loc"][:-1])
            hint = did_you_mean(str(details["loc"][-1]), known) or f"; known keys: {', '.join(known)}"
            return f"unknown key{hint}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be a mapping of keys to values{got}"
        case "tuple_type" | "list_type":
            return f"must be a list{got}"
        case "literal_error":
            return f"must be {context['expected'].replace(chr(39), '')}{got}"
        case "int_type" | "int_from_float":
            return f"must be a whole number{got}"
        case "float_type" | "float_parsing":
            return f"must be a number{got}"
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
            sign, limit = next(iter(context.items()))
            return f"must be {words[sign]} {limit:g}{got}"
        case "string_pattern_mismatch":
            return f"must be a name of letters, digits, - and _ that begins with a letter{got}"
        case "string_type":
            return f"must be text{got}"
    text = details["msg"]
    return text[0].lower() + text[1:]


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

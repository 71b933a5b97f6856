"""Reading annotations of the syntax tree (spec 18) and the names that they give (18.3.2)."""

from __future__ import annotations

from p4cats.compiler.ir.types import P4Annotation
from p4cats.compiler.parse import ast
from p4cats.compiler.types import tree
from p4cats.compiler.types.model import Composite


def find(annotations: list[ast.Annotation], name: str) -> ast.Annotation | None:
    """The first annotation of that name."""
    return next((a for a in annotations if a.name == name), None)


def text_of(annotations: list[ast.Annotation], name: str) -> str | None:
    """The string in `@name("…")`."""
    found = find(annotations, name)
    if found is None:
        return None
    values = found.values or []
    if not values and isinstance(found.structured, list):
        values = [v for v in found.structured if isinstance(v, ast.Expression)]
    parts = [v.value for v in values if isinstance(v, ast.StringLiteral)]
    return "".join(parts) if parts else None


def number_of(annotations: list[ast.Annotation], name: str) -> int | None:
    """The number in `@id(…)`."""
    found = find(annotations, name)
    if found is None:
        return None
    for value in [*(found.values or []), *(found.structured or [])]:
        if isinstance(value, ast.IntLiteral):
            return value.value
    return None


def p4_annotations(annotations: list[ast.Annotation], drop: tuple[str, ...] = ()) -> tuple[P4Annotation, ...]:
    """As the IR keeps them."""
    return tuple(_p4_annotation(a) for a in annotations if a.name not in drop)


def _p4_annotation(a: ast.Annotation) -> P4Annotation:
    if a.structured is None:
        return P4Annotation(a.name, a.body)
    pairs = tuple((v.name, _literal(v.value)) for v in a.structured if isinstance(v, ast.NamedValue))
    if pairs:
        return P4Annotation(a.name, None, None, pairs)
    return P4Annotation(
        a.name, None, tuple(_literal(v) for v in a.structured if isinstance(v, ast.Expression))
    )


def _literal(e: ast.Expression) -> int | str | bool:
    match e:
        case ast.IntLiteral(value=value):
            return value
        case ast.BoolLiteral(value=truth):
            return truth
        case ast.StringLiteral(value=text):
            return text
        case ast.Unary(op="-", operand=ast.IntLiteral(value=value)):
            return -value
        case _:
            return e.span.source.text[e.span.start : e.span.end]


def key_name(node: ast.Expression, e: tree.Expr) -> str | None:
    """The control-plane name of a key expression; None where it needs an annotation."""
    match node:
        case ast.Name():
            return node.name
        case ast.Member():
            if not isinstance(e, tree.FieldRef | tree.StackPart):
                return None
            base = key_name(node.base, e.base)
            own = None
            if isinstance(e, tree.FieldRef) and isinstance(e.base.type, Composite):
                own = text_of(e.base.type.fields[e.name].annotations, "name")
            if own is not None and own.startswith("."):
                return own[1:]  # a global name: whatever holds the field is left out
            return None if base is None else f"{base}.{own or node.name}"
        case ast.Index() if isinstance(e, tree.Element):
            base, index = key_name(node.base, e.base), _index_text(node.index, e.index)
            return None if base is None or index is None else f"{base}[{index}]"
        case ast.Slice() if isinstance(e, tree.SliceRef):
            base = key_name(node.base, e.base)
            return None if base is None else f"{base}[{_bound(node.high, e.high)}:{_bound(node.low, e.low)}]"
        case ast.Binary(op="&") if isinstance(e, tree.Binary):
            left, right = key_name(node.left, e.left), _index_text(node.right, e.right)
            return None if left is None or right is None else f"{left} & {right}"
        case ast.Call(callee=ast.Member(name="isValid") as callee) if isinstance(e, tree.BuiltinCall):
            base = key_name(callee.base, e.base)
            return None if base is None else f"{base}.$valid$"
        case _:
            return None


def _bound(node: ast.Expression, value: int) -> str:
    return node.text or str(value) if isinstance(node, ast.IntLiteral) else str(value)


def _index_text(node: ast.Expression, e: tree.Expr) -> str | None:
    if isinstance(node, ast.IntLiteral):
        return node.text or str(node.value)
    if isinstance(e, tree.Constant):
        return str(e.value)
    return key_name(node, e)

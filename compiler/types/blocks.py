"""Parsers and controls (spec 13, 14), and parameters of anything."""

from __future__ import annotations

from p4cats.compiler.parse import ast
from p4cats.compiler.source import Span
from p4cats.compiler.types import tree
from p4cats.compiler.types.annotations import find
from p4cats.compiler.types.base import Place
from p4cats.compiler.types.convert import known_later
from p4cats.compiler.types.model import (
    BOOL,
    DONT_CARE,
    Bits,
    Block,
    BlockDecl,
    Bool,
    Composite,
    Enum,
    Error,
    Extern,
    Int,
    List,
    Opaque,
    Param,
    Tuple,
    Type,
    TypeVar,
    contains_int,
    is_unknown,
    representation,
)
from p4cats.compiler.types.scope import suggest
from p4cats.compiler.types.tables import Tables


class Blocks(Tables):
    """Checks parsers and controls."""

    # -- parameters ---------------------------------------------------------------------------

    def parameters(self, nodes: list[ast.Parameter], constructor: bool = False) -> list[Param]:
        """Resolve parameters; names must differ (6.8)."""
        params: list[Param] = []
        for node in nodes:
            type_ = self.value_type(node.type)
            if any(p.name == node.name for p in params):
                self.error(node.name_span, f"parameter '{node.name}' is declared twice")
                continue
            if constructor and node.direction:
                self.error(node.span, "constructor parameters have no direction")
            if isinstance(type_, Extern | Block) and node.direction:
                self.error(node.span, f"a parameter of type '{type_}' has no direction")
            if node.direction and (contains_int(type_) or isinstance(type_, List)):
                self.error(
                    node.type.span,
                    f"'{type_}' exists at compile time only: the parameter cannot have a direction",
                )
                type_ = tree.wrong(node.span).type
            if node.default is not None and node.direction == "out":
                self.error(node.default.span, "an out parameter cannot have a default value")
            elif node.default is not None and node.direction == "inout":
                self.error(node.default.span, "an inout parameter cannot have a default value")
            elif node.default is not None and not isinstance(type_, TypeVar):
                default = self.coerce(self.value(node.default), type_, f"parameter '{node.name}'")
                if not known_later(default):
                    self.error(node.default.span, "a default value must be known at compile time")
            params.append(
                Param(
                    node.name, type_, node.direction, node.name_span, node.default,
                    find(node.annotations, "optional") is not None, node.annotations,
                )
            )  # fmt: skip
        return params

    def bring_in(self, params: list[Param], data: bool = False) -> list[tree.Var]:
        """Declare run-time parameters in the current scope."""
        variables = []
        for p in params:
            role = "data" if data and not p.direction else "parameter"
            variable = tree.Var(p.name, p.type, p.span, p.direction, role, p.annotations)
            self.define(p.name, variable, p.span)
            variables.append(variable)
        return variables

    def bring_in_constructor(self, params: list[Param]) -> list[tree.CtorParam]:
        """Declare constructor parameters in the current scope."""
        declared = []
        for p in params:
            parameter = tree.CtorParam(p.name, p.type, p.span)
            self.define(p.name, parameter, p.span)
            declared.append(parameter)
        return declared

    def bring_in_type_params(self, nodes: list[ast.TypeParameter]) -> list[TypeVar]:
        """Declare type parameters in the current scope."""
        variables = []
        for node in nodes:
            variable = TypeVar(node.name)
            self.define(node.name, tree.TypeName(node.name, variable, node.span), node.span)
            variables.append(variable)
        return variables

    def block_type(self, node: ast.ControlDeclaration | ast.ParserDeclaration) -> BlockDecl:
        """The head of a parser or control; its parameters' scope is the current one."""
        kind = "control" if isinstance(node, ast.ControlDeclaration) else "parser"
        body = node.body if isinstance(node, ast.ControlDeclaration) else node.states
        if body is not None and node.type_parameters:
            self.error(node.type_parameters[0].span, f"a {kind} with a body cannot have type parameters")
        type_params = self.bring_in_type_params(node.type_parameters)
        params = self.parameters(node.parameters)
        ctor_params = self.parameters(node.constructor_parameters, constructor=True)
        return BlockDecl(
            kind,
            node.name,
            type_params,
            params,
            ctor_params,
            node.name_span,
            body is not None,
            node.annotations,
        )

    # -- controls -----------------------------------------------------------------------------

    def control(self, node: ast.ControlDeclaration) -> tuple[BlockDecl, tree.Control | None]:
        """A control type or a control."""
        with self.nested():
            declaration = self.block_type(node)
            if node.body is None:
                return declaration, None
            self.note_atomic(node)
            self.note_atomic(node.body)
            place = Place("control")
            with self.nested(place):
                params = self.bring_in(declaration.params)
                ctor = self.bring_in_constructor(declaration.ctor_params)
                with self.nested(place):
                    body: list[tree.Stmt] = []
                    for local in node.locals:
                        self._control_local(local, place.new_locals)
                    place.apply = True
                    with self.nested():
                        self.statements(node.body.statements, body)
                    self.flow.body(body)
        return declaration, tree.Control(declaration, params, ctor, place.new_locals, body)

    def _control_local(self, node: ast.Declaration, out: list[tree.Stmt]) -> None:
        match node:
            case ast.Action():
                out.append(self.action(node))
            case ast.Table():
                out.append(self.table(node))
            case ast.Variable() | ast.Constant() | ast.Instantiation():
                self.statements([node], out)
            case _:
                self.error(node.span, "this declaration cannot stand in a control")

    # -- parsers ------------------------------------------------------------------------------

    def parser(self, node: ast.ParserDeclaration) -> tuple[BlockDecl, tree.Parser | None]:
        """A parser type or a parser."""
        with self.nested():
            declaration = self.block_type(node)
            if node.states is None:
                return declaration, None
            self.note_atomic(node)
            place = Place("parser")
            with self.nested(place):
                params = self.bring_in(declaration.params)
                ctor = self.bring_in_constructor(declaration.ctor_params)
                with self.nested(place):
                    for local in node.locals:
                        self._parser_local(local, place.new_locals)
                    place.apply = True
                    states = self._states(node)
        return declaration, tree.Parser(declaration, params, ctor, place.new_locals, states)

    def _parser_local(self, node: ast.Declaration, out: list[tree.Stmt]) -> None:
        match node:
            case ast.ValueSet():
                out.append(self.value_set(node))
            case ast.Variable() | ast.Constant() | ast.Instantiation():
                self.statements([node], out)
            case _:
                self.error(node.span, "this declaration cannot stand in a parser")

    def value_set(self, node: ast.ValueSet) -> tree.ValueSet:
        """`value_set<T>(size) name;` (13.6)."""
        type_ = self.value_type(node.type)
        for element in _flat(type_):
            if (
                not isinstance(representation(element), Bits | Enum)
                and element != BOOL
                and not is_unknown(element)
            ):
                self.error(node.type.span, f"a value set cannot hold '{element}'")
        size = self.value(node.size)
        if not is_unknown(size.type) and not isinstance(representation(size.type), Bits | Int):
            self.error(size.span, "the size of a value set must be a compile-time constant number")
        found = tree.ValueSet(node.name_span, node.name, type_, size, node.annotations)
        self.define(node.name, found, node.name_span)
        return found

    def _states(self, node: ast.ParserDeclaration) -> dict[str, tree.State]:
        names: dict[str, ast.State] = {}
        for state in node.states or []:
            if state.name in {"accept", "reject"}:
                self.error(state.name_span, f"state '{state.name}' is built in, it cannot be declared")
            elif state.name in names:
                self.error(state.name_span, f"state '{state.name}' is declared twice")
            else:
                names[state.name] = state
        if "start" not in names:
            self.error(node.name_span, f"parser '{node.name}' has no state 'start'")
        known = [*names, "accept", "reject"]
        states = {name: self._state(state, known) for name, state in names.items()}
        self._warn_unreachable(states)
        return states

    def _warn_unreachable(self, states: dict[str, tree.State]) -> None:
        reached, todo = {"start"}, ["start"]
        while todo:
            state = states.get(todo.pop())
            if state is None:
                continue
            following = (
                [c.state for c in state.cases] if state.cases is not None else [state.next or "reject"]
            )
            for name in following:
                if name not in reached:
                    reached.add(name)
                    todo.append(name)
        for name, state in states.items():
            if name not in reached and not find(state.annotations, "noWarn"):
                self.reporter.warning(state.span, f"state '{name}' is never reached")

    def _state(self, node: ast.State, known: list[str]) -> tree.State:
        self.note_atomic(node)
        with self.nested():
            body: list[tree.Stmt] = []
            self.statements(node.statements, body)
            self.flow.body(body)
            state = tree.State(node.name, node.name_span, body, None, [], None, node.annotations)
            match node.transition:
                case None:
                    self.reporter.warning(
                        node.name_span,
                        f"state '{node.name}' has no transition: it rejects",
                        "end with transition …;",
                    )
                    state.next = "reject"
                case ast.Name(name=name, span=span):
                    state.next = name if self._known_state(name, known, span) else "reject"
                case ast.Select() as select:
                    self._select_into(state, select, known)
                case _:
                    self.error(node.transition.span, "a transition goes to a state or to a select")
        return state

    def _known_state(self, name: str, known: list[str], span: Span) -> bool:
        if name in known:
            return True
        self.error(span, f"unknown state '{name}'", suggest(name, known))
        return False

    def _select_into(self, state: tree.State, node: ast.Select, known: list[str]) -> None:
        written = [self._subject(s) for s in node.subjects]
        subjects = [part for s in written for part in _parts(s)]
        state.subjects, state.cases = subjects, []
        usable = not any(is_unknown(s.type) for s in subjects)
        always = False
        seen: set[tuple[object, ...]] = set()
        for case in node.cases:
            fine = self._known_state(case.state, known, case.state_span)
            if always:
                self.reporter.warning(
                    case.span, "this case is never reached: an earlier one matches everything"
                )
                always = False
            if not usable:
                continue
            keys = self._case_keys(case.keyset, written, subjects)
            if keys is None:
                continue
            always = always or all(isinstance(k, tree.Any) for k in keys)
            self._warn_repeated(case.span, keys, seen)
            if fine:
                state.cases.append(tree.SelectCase(keys, case.state, case.span))
        if usable and not self._may_match_all(subjects, state.cases):
            message = "this select has no default: what matches nothing is an error"
            self.reporter.warning(node.span, message, "default: accept;")

    @staticmethod
    def _may_match_all(subjects: list[tree.Expr], cases: list[tree.SelectCase]) -> bool:
        """The last key is _ somewhere, or there are value sets, bools or enums, which may be complete."""
        if not all(isinstance(representation(s.type), Bits) for s in subjects):
            return True
        return any(
            isinstance(c.keys[-1], tree.Any) or any(isinstance(k, tree.SetRef) for k in c.keys) for c in cases
        )

    def _warn_repeated(self, span: Span, keys: list[tree.Expr], seen: set[tuple[object, ...]]) -> None:
        """A case with the keys of an earlier one."""
        values = [("is", k.value) if isinstance(k, tree.Constant) else self._set_values(k) for k in keys]
        if any(v is None for v in values):
            return
        if tuple(values) in seen:
            self.reporter.warning(span, "this case is never reached: an earlier one has the same keys")
        seen.add(tuple(values))

    @staticmethod
    def _set_values(key: tree.Expr) -> tuple[object, ...] | None:
        match key:
            case tree.Any():
                return ("any",)
            case tree.MaskSet(value=tree.Constant(value=a), mask=tree.Constant(value=b)):
                return ("mask", a, b)
            case tree.RangeSet(low=tree.Constant(value=a), high=tree.Constant(value=b)):
                return ("range", a, b)
            case _:
                return None

    def _subject(self, node: ast.Expression) -> tree.Expr:
        e = self.value(node)
        if is_unknown(e.type):
            return e
        for part in _flat(e.type) if _composed(e.type) else [e.type]:
            if isinstance(part, Int):
                return self.wrong(e.span, "the subject of a select needs a width", "as in 8w1")
            if not isinstance(representation(part), Bits | Enum | Opaque | Bool | Error):
                return self.wrong(e.span, f"select is not possible on '{part}'")
        return e

    def _case_keys(
        self, node: ast.Expression, written: list[tree.Expr], subjects: list[tree.Expr]
    ) -> list[tree.Expr] | None:
        """Key sets of a case; a value set of a struct stands for all subjects (13.6)."""
        if isinstance(node, ast.Name):
            e = self.expr(node)
            if isinstance(e, tree.SetRef):
                return [e] if self._set_fits(e, subjects) else None
        types = [s.type for s in written]
        if not any(_composed(t) for t in types):
            return self.keysets(node, types, "subject")
        nodes = node.elements if isinstance(node, ast.TupleKeyset) else [node]
        if len(types) == 1:
            found = self._flat_keysets(node, types[0])
        elif isinstance(node, ast.DefaultKeyset | ast.DontCare):
            found = [tree.Any(node.span, DONT_CARE) for _ in subjects]
        elif len(nodes) != len(types):
            self.error(node.span, f"{len(nodes)} key sets for {len(types)} subjects")
            return None
        else:
            found = [k for n, t in zip(nodes, types, strict=True) for k in self._flat_keysets(n, t)]
        return None if any(is_unknown(k.type) for k in found) else found

    def _flat_keysets(self, node: ast.Expression, type_: Type) -> list[tree.Expr]:
        """The key sets for the parts of a struct or tuple, one for each scalar in it."""
        if not _composed(type_):
            return [self.keyset(node, type_)]
        if isinstance(node, ast.DefaultKeyset | ast.DontCare):
            return [tree.Any(node.span, DONT_CARE) for _ in _flat(type_)]
        if isinstance(node, ast.TupleKeyset | ast.ListExpression):
            parts = _components(type_)
            if len(parts) != len(node.elements):
                message = f"{len(node.elements)} key sets for '{type_}', which has {len(parts)} fields"
                return [self.wrong(node.span, message)]
            pairs = zip(node.elements, parts, strict=True)
            return [k for n, t in pairs for k in self._flat_keysets(n, t)]
        return _parts(self.coerce(self.value(node), type_, "the subject"))

    def _set_fits(self, e: tree.SetRef, subjects: list[tree.Expr]) -> bool:
        element = e.symbol.element
        wanted = _flat(element)
        given = [s.type for s in subjects]
        if [representation(t) for t in wanted] != [representation(t) for t in given]:
            self.error(
                e.span, f"value set '{e.symbol.name}' holds '{element}', which does not fit the subjects"
            )
            return False
        return True


def _composed(type_: Type) -> bool:
    """A struct or tuple: a select compares its parts."""
    return isinstance(type_, Tuple) or (isinstance(type_, Composite) and type_.kind == "struct")


def _components(type_: Type) -> list[Type]:
    """The types of fields or elements."""
    if isinstance(type_, Tuple):
        return list(type_.elements)
    assert isinstance(type_, Composite)
    return [f.type for f in type_.fields.values()]


def _parts(e: tree.Expr) -> list[tree.Expr]:
    """A value, or the scalars in a struct or tuple, in their order."""
    if not _composed(e.type) or is_unknown(e.type):
        return [e]
    if isinstance(e, tree.Make):
        return [part for v in e.values for part in _parts(v)]
    names = [f"f{i}" for i in range(len(e.type.elements))] if isinstance(e.type, Tuple) else None
    if names is None:
        assert isinstance(e.type, Composite)
        names = list(e.type.fields)
    fields = zip(names, _components(e.type), strict=True)
    return [part for n, t in fields for part in _parts(tree.FieldRef(e.span, t, e, n))]


def _flat(type_: Type) -> list[Type]:
    """The fields of structs and tuples, nested ones in their place."""
    match type_:
        case Composite(fields=fields):
            return [inner for f in fields.values() for inner in _flat(f.type)]
        case Tuple(elements=elements):
            return [inner for e in elements for inner in _flat(e)]
        case _:
            return [type_]


__all__ = ["Blocks"]

"""Elaboration (spec 18): from `main`, make every instance, its names, and its lowered body."""

from __future__ import annotations

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir.live import Live
from p4cats.compiler.ir.lower_expressions import Body
from p4cats.compiler.ir.lower_tables import TableLowering
from p4cats.compiler.ir.types import BOOL, Header, Struct
from p4cats.compiler.ir.unit import Environment, Instance, Unit, control_plane
from p4cats.compiler.types import model, tree
from p4cats.compiler.types.annotations import find, p4_annotations, text_of

MAX_BLOCKS = 5_000
"""Twenty controls with two instances of the one before can already mean a million."""


def elaborate(program: tree.Program, reporter: Reporter) -> ir.Program:
    """Instantiate `main`, which must be a V1Switch."""
    main = program.main
    if main is None:
        raise reporter.fatal(program.span, "the program has no 'main'", "V1Switch(…) main;")
    assert isinstance(main.type, model.Block)
    if main.type.name != "V1Switch":
        raise reporter.fatal(
            main.span, f"package '{main.type.name}' is not supported: main must be a V1Switch",
            "#include <v1model.p4>",
        )  # fmt: skip
    unit = Unit(program, reporter)
    for type_ in program.types:
        if isinstance(type_, model.Composite | model.Enum):
            unit.types.convert(type_)
        else:
            unit.types.written(type_)
    builder = InstanceLowering(unit, unit.top)
    for instance in program.instances:
        if isinstance(instance.type, model.Extern):
            unit.top.instances[instance] = builder.extern(instance)
    blocks = [builder.top_block(arg, main) for arg in main.args]
    parser, *controls = blocks
    assert isinstance(parser, ir.Parser)
    verify, ingress, egress, compute, deparser = (c for c in controls if isinstance(c, ir.Control))
    headers, metadata, standard = (v.type for v in parser.parameters[:3])
    if not isinstance(headers, Struct) or not isinstance(metadata, Struct):
        raise reporter.fatal(main.span, "headers and metadata of a V1Switch must be structs")
    assert isinstance(standard, Struct)
    reporter.check()
    live = Live(unit, [b for b in blocks if isinstance(b, ir.Parser | ir.Control)])
    return ir.Program(
        program.span, program.errors, parser, verify, ingress, egress, compute, deparser,
        headers, metadata, standard, live.tables(), live.actions(), live.externs(), unit.value_sets,
        _controller_headers(unit), unit.digests, unit.types.composites, unit.types.written_types,
        unit.types.enums, p4_annotations(main.annotations), list(unit.functions.values()),
        program.atomic,
    )  # fmt: skip


def _controller_headers(unit: Unit) -> list[ir.ControllerHeader]:
    found = []
    for type_ in unit.program.types:
        if isinstance(type_, model.Composite) and find(type_.annotations, "controller_header"):
            header = unit.types.convert(type_)
            name = text_of(type_.annotations, "controller_header")
            if isinstance(header, Header) and name:
                plane = control_plane("", type_.name, type_.annotations)
                found.append(ir.ControllerHeader(name, header, plane.annotations, plane.id))
    return found


class InstanceLowering(TableLowering):
    """Makes instances of controls, parsers and externs."""

    def top_block(self, arg: tree.Arg, main: tree.Instance) -> ir.Parser | ir.Control:
        """A block given to the package: its control-plane name is that of its type."""
        e = arg.value
        if not isinstance(e, tree.Construct) or not isinstance(e.type, model.Block):
            span = main.span if e is None else e.span
            raise self.unit.reporter.fatal(
                span, f"the argument for '{arg.param.name}' must be constructed in place"
            )
        return self.block(e.type, e.type.name, e.type.name, e.args)

    def block(
        self, type_: model.Block, prefix: str, name: str, args: list[tree.Arg], reports: bool = False
    ) -> ir.Parser | ir.Control:
        """An instance of a control or parser; with `reports`, one that says whether it has exited."""
        self.unit.blocks += 1
        if self.unit.blocks > MAX_BLOCKS:
            message = f"the program has more than {MAX_BLOCKS} instances of controls and parsers"
            raise self.unit.reporter.fatal(type_.declaration.span, message)
        definition = self.unit.program.blocks[type_.declaration]
        assert not isinstance(definition, tree.Package)
        env = Environment(prefix)
        for parameter, arg in zip(definition.ctor_params, args, strict=True):
            env.instances[parameter] = self._constructor_value(arg, parameter, prefix)
        inner = InstanceLowering(self.unit, env)
        if isinstance(definition, tree.Control):
            return inner.control(definition, name, reports)
        return inner.parser(definition, name)

    def _constructor_value(self, arg: tree.Arg, parameter: tree.CtorParam, prefix: str) -> Instance:
        e = arg.value
        if e is None:
            raise self.unit.reporter.fatal(parameter.span, f"no value for parameter '{parameter.name}'")
        match e:
            case tree.Construct(type=model.Extern() as extern):
                return self._extern_of(extern, e.args, e, control_plane(prefix, parameter.name, []))
            case tree.Construct(type=model.Block() as block):
                reports = self.unit.exits.block(block.declaration)
                return self.block(block, f"{prefix}.{parameter.name}", parameter.name, e.args, reports)
            case tree.InstanceRef():
                return self.instance_of(e)
            case tree.CtorRef() if isinstance(e.type, model.Extern | model.Block):
                return self.instance_of(e)
        return self.expr(e)

    # -- blocks -------------------------------------------------------------------------------

    def _parameters(self, params: list[tree.Var]) -> list[ir.Variable]:
        return [self.parameter(p) for p in params if not isinstance(p.type, model.Extern)]

    def _local_declarations(
        self, declarations: list[tree.Stmt], block: ir.Parser | ir.Control
    ) -> tuple[list[ir.Action], list[ir.Table]]:
        actions: list[ir.Action] = []
        tables: list[ir.Table] = []
        for local in declarations:
            match local:
                case tree.Action():
                    action = self.env.actions[local] = self.action(local)
                    actions.append(action)
                    self.unit.actions.append(action)
                case tree.Table():
                    table = self.env.tables[local] = self.table(local)
                    tables.append(table)
                case tree.Instance():
                    made = self.env.instances[local] = self._instance(local)
                    if isinstance(made, ir.ExternInstance):
                        self.unit.owner[id(made)] = id(block)
                case tree.ValueSet():
                    self.env.value_sets[local] = self._value_set(local)
                case _:
                    self.statements([local])
        return actions, tables

    def _instance(self, instance: tree.Instance) -> Instance:
        if isinstance(instance.type, model.Extern):
            return self.extern(instance)
        assert isinstance(instance.type, model.Block)
        plane = control_plane(self.env.prefix, instance.name, instance.annotations)
        reports = instance in self.env.reporting
        return self.block(instance.type, plane.name, instance.name, instance.args, reports)

    def control(self, definition: tree.Control, name: str, reports: bool) -> ir.Control:
        """A control instance in this environment."""
        declaration = definition.declaration
        made = ir.Control(name, declaration.span, self._parameters(definition.params), [], [], [], [])
        if reports:
            flag = ir.Variable(self.env.names.unique("exits"), BOOL, declaration.span, "inout")
            made.parameters.append(flag)
            self.exit_flag = ir.VarRef(declaration.span, BOOL, flag)
            self.unit.reporting.add(id(made))
        self.env.reporting = self.unit.exits.reporting(definition, reports)
        self.body = Body(made.locals, made.body)
        made.actions, made.tables = self._local_declarations(definition.locals, made)
        self.statements(definition.body)
        variants = [self.env.exiting[a] for a in self.env.actions if a in self.env.exiting]
        self.unit.actions += variants
        made.actions += [*variants, *self.env.bound.values()]
        return made

    def parser(self, definition: tree.Parser, name: str) -> ir.Parser:
        """A parser instance in this environment."""
        declaration = definition.declaration
        made = ir.Parser(name, declaration.span, self._parameters(definition.params), [], [], {})
        self.body = Body(made.locals, made.init)
        self._local_declarations(definition.locals, made)
        cyclic = _has_cycle(definition.states)
        for state in definition.states.values():
            made.states[state.name] = self._state(state, made.locals, cyclic)
        return made

    def _state(self, state: tree.State, variables: list[ir.Variable], cyclic: bool) -> ir.State:
        self.body = Body(variables, [], cyclic)
        self.statements(state.body)
        if state.cases is None:
            transition = ir.Transition(state.next)
        else:
            subjects = self.ordered(*state.subjects)
            types = [s.type for s in state.subjects]
            cases = [
                ir.SelectCase(
                    [self.pattern(k, t) for k, t in zip(c.keys, types, strict=False)], c.state, c.span
                )
                for c in state.cases
            ]
            transition = ir.Transition(None, subjects, cases)
        annotations = p4_annotations(state.annotations)
        return ir.State(state.name, state.span, self.body.out, transition, annotations)

    def _value_set(self, value_set: tree.ValueSet) -> ir.ValueSet:
        plane = control_plane(self.env.prefix, value_set.name, value_set.annotations)
        made = ir.ValueSet(plane, value_set.span, self.type(value_set.element), self.known(value_set.size))
        self.unit.value_sets.append(made)
        return made

    # -- externs ------------------------------------------------------------------------------

    def extern(self, instance: tree.Instance) -> ir.ExternInstance:
        """An extern instance."""
        if instance.has_members:
            raise self.unit.reporter.fatal(
                instance.span,
                f"'{instance.name}' implements abstract methods, which v1model does not support",
            )
        assert isinstance(instance.type, model.Extern)
        plane = control_plane(self.env.prefix, instance.name, instance.annotations)
        return self._extern_of(instance.type, instance.args, instance, plane)

    def anonymous_extern(self, e: tree.Construct, table: tree.Table) -> ir.ExternInstance:
        """An extern constructed in place, as a table property."""
        assert isinstance(e.type, model.Extern)
        annotations = table.property_annotations
        if text_of(annotations, "name") is None:
            raise self.unit.reporter.fatal(
                e.span, "an instance in a table property needs a name", 'add @name("…")'
            )
        return self._extern_of(e.type, e.args, e, control_plane(self.env.prefix, table.name, annotations))

    def _extern_of(
        self, type_: model.Extern, args: list[tree.Arg], at: tree.Expr | tree.Instance, plane: ir.ControlPlane
    ) -> ir.ExternInstance:
        values: list[ir.Const | ir.StringConst] = []
        for arg in args:
            if arg.value is None:
                continue
            value = self.expr(arg.value)
            if not isinstance(value, ir.Const | ir.StringConst):
                raise self.unit.reporter.fatal(arg.value.span, "this argument must be known at compile time")
            values.append(value)
        types = [model.substitute(t, self.env.binding) for t in type_.arguments]
        written = self.unit.types.written(types[0]) if types else None
        made = ir.ExternInstance(type_.name, plane, at.span, [self.type(t) for t in types], values, written)
        self.unit.externs.append(made)
        return made


def _has_cycle(states: dict[str, tree.State]) -> bool:
    """Some state can be reached from itself."""
    done: set[str] = set()
    active: set[str] = set()
    todo: list[tuple[str, bool]] = [(name, False) for name in states]
    while todo:
        name, leaving = todo.pop()
        state = states.get(name)
        if leaving:
            active.discard(name)
            done.add(name)
            continue
        if state is None or name in done:
            continue
        if name in active:
            continue
        active.add(name)
        todo.append((name, True))
        following = [c.state for c in state.cases] if state.cases is not None else [state.next or "reject"]
        for target in following:
            if target in active:
                return True
            todo.append((target, False))
    return False


__all__ = ["elaborate"]

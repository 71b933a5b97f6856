"""A whole program as one Python module.

The text expects these names, given by p4cats.switch.model.program: TABLES and EXTERNS and VALUE_SETS (lists
in the order of ir.Program), clock, randint, log_msg, AssertionFailed, the hash functions, Stack and its
helpers. It defines HEADERS, METADATA, STANDARD_METADATA (classes), parse, verify_checksum, ingress, egress,
compute_checksum, deparse, header_bytes, copy_* and FIELD_LISTS.
"""

from __future__ import annotations

from p4cats.compiler.backends.model.composites import Composites, is_composite
from p4cats.compiler.backends.model.expressions import unsupported
from p4cats.compiler.backends.model.externs import ExternEmitter
from p4cats.compiler.backends.model.functions import BlockEmitter, Functions
from p4cats.compiler.backends.model.layout import Structs
from p4cats.compiler.backends.model.names import Names, Place, attribute
from p4cats.compiler.backends.model.tables import match_keys
from p4cats.compiler.backends.model.usage import Usage, walk
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Composite, Enum, P4Annotation, Struct, Type

GIVEN = frozenset({
    "TABLES", "EXTERNS", "VALUE_SETS", "FIELD_LISTS", "HEADERS", "METADATA", "STANDARD_METADATA",
    "EGRESS_READS_LENGTH", "Stack", "Struct", "element", "copy_stack", "reset_stack", "from_bytes", "clock",
    "randint", "log_msg", "AssertionFailed", "padded", "crc32", "crc32_custom", "crc16", "crc16_custom",
    "csum16",
    "csum16_of", "xor16", "identity", "random_hash", "parse", "verify_checksum", "ingress", "egress",
    "compute_checksum", "deparse", "header_bytes", "copy_headers", "copy_metadata", "copy_standard_metadata",
    "data", "hdr", "meta", "sm", "packet", "pos", "end", "stop", "out", "chunks", "no_fields",
    *(f"w{n}" for n in range(64)),
})  # fmt: skip
"""Names with a meaning of their own in generated modules."""


class Module:
    """Collects the parts of the generated text and hands out names for run-time objects."""

    def __init__(self, program: nodes.Program) -> None:
        self.program = program
        self.names = Names(set(GIVEN))
        self.structs = Structs()
        self.composites = Composites(self.names, self.structs, Usage(program))
        self.functions = Functions(self)
        self._objects: dict[int, str] = {}
        self._object_lines: list[str] = []
        self._field_lists: dict[int, str] = {}
        self._list_lines: list[str] = []
        self._colours: dict[int, str] = {}
        self._tables = {id(t): n for n, t in enumerate(program.tables)}
        self._externs = {id(x): n for n, x in enumerate(program.externs)}
        self._value_sets = {id(v): n for n, v in enumerate(program.value_sets)}

    # -- what the tracing variant (trace.py) does in another way ------------------------------

    def hook(self, emitter: ExternEmitter, event: str, subject: str) -> None:
        """Called where a parser state begins, a header was extracted, a table has its result."""

    def emitter(self, _name: str) -> BlockEmitter:
        """What writes one Python function; the name is that of the P4 block or function."""
        return BlockEmitter(self, self.composites, self.names.local())

    # -- run-time objects ---------------------------------------------------------------------

    def table(self, table: nodes.Table) -> str:
        """The name prefix of a table: NAME_get, NAME_find, NAME_miss."""
        if id(table) not in self._objects:
            name = self.names.fresh(f"t_{table.name}")
            self._objects[id(table)] = name
            number = self._tables[id(table)]
            self._object_lines.append(f"{name}_miss = TABLES[{number}].miss  # {table.name}")
            if match_keys(table):
                self._object_lines.append(f"{name}_get = TABLES[{number}].index.get")
                self._object_lines.append(f"{name}_find = TABLES[{number}].find")
        return self._objects[id(table)]

    def extern(self, call: nodes.ExternCall) -> str:
        """The name of an extern instance's state."""
        instance = call.instance
        assert instance is not None
        if id(instance) not in self._objects:
            name = self.names.fresh(f"x_{instance.name}")
            self._objects[id(instance)] = name
            value = f"EXTERNS[{self._externs[id(instance)]}]"
            if instance.kind == "register":
                element = instance.type_arguments[0]
                made = isinstance(element, Composite)
                value += f".objects({self.composites.class_name(element)})" if made else ".cells"  # type: ignore[arg-type]
            self._object_lines.append(f"{name} = {value}  # {instance.name}")
        return self._objects[id(instance)]

    def value_set(self, value_set: nodes.ValueSet) -> str:
        """The membership test of a parser value set."""
        if id(value_set) not in self._objects:
            name = self.names.fresh(f"in_{value_set.name}")
            self._objects[id(value_set)] = name
            number = self._value_sets[id(value_set)]
            self._object_lines.append(f"{name} = VALUE_SETS[{number}].contains  # {value_set.name}")
        return self._objects[id(value_set)]

    def size(self, call: nodes.ExternCall) -> int:
        """Number of cells of an indirect resource."""
        assert call.instance is not None
        first = call.instance.arguments[0]
        assert isinstance(first, nodes.Const)
        return first.value

    def counts_bytes(self, instance: nodes.ExternInstance) -> bool:
        """True for meters of bytes."""
        return unit_of(instance) == "bytes"

    def has_colour(self, instance: nodes.ExternInstance) -> bool:
        """True where the control under way applies a table of this direct meter."""
        return id(instance) in self._colours

    def direct_colour(self, instance: nodes.ExternInstance) -> str:
        """The local that holds the colour a direct meter gave this packet."""
        if id(instance) not in self._colours:
            self._colours[id(instance)] = self.names.fresh("colour")
        return self._colours[id(instance)]

    def error(self, name: str) -> str:
        """The index of an error."""
        return str(self.program.errors.index(name))

    def digest_name(self, call: nodes.ExternCall, type_: Type) -> str:
        """The P4Info name of a digest call."""
        for digest in self.program.digests:
            if digest.type is type_:
                return digest.name
        raise unsupported(call.span, f"digest of {type_}")

    # -- field lists --------------------------------------------------------------------------

    def field_list(self, index: int) -> str:
        """The function that keeps the metadata fields marked @field_list(index)."""
        if index not in self._field_lists:
            name = self.names.fresh(f"field_list_{index}")
            self._field_lists[index] = name
            paths = marked_fields(self.program.metadata, index)
            self._write_list(name, [(f"meta.{path}", type_) for path, type_ in paths])
        return self._field_lists[index]

    def explicit_field_list(self, paths: list[tuple[str, Type]]) -> str:
        """The same for the older externs, which list the fields in the call."""
        name = self.names.fresh("field_list_of_call")
        self._write_list(name, paths)
        return name

    def _write_list(self, name: str, paths: list[tuple[str, Type]]) -> None:
        body: list[str] = []
        for path, type_ in paths:
            if is_composite(type_):
                body += self.composites.copy(type_, f"to_{path}", f"of_{path}")
            else:
                body.append(f"to_{path} = of_{path}")
        self._list_lines += ["", "", f"def {name}(to_meta, to_sm, of_meta, of_sm):"]
        self._list_lines += [f"    {line}" for line in body or ["pass"]]

    # -- functions ----------------------------------------------------------------------------

    def control(self, name: str, control: nodes.Control, parameters: list[str]) -> list[str]:
        """A top-level control as a function of `packet` and its parameters."""
        emitter = self.emitter(control.name)
        self._bind(emitter, control.parameters, parameters)
        if name == "deparse":
            emitter.exit_code = "return b''.join(chunks)"
            emitter.line("chunks = []")
            emitter.line("out = chunks.append")
        emitter.declare(control.locals)
        self._colours.clear()
        for colour in self._colours_of(control):
            emitter.line(f"{colour} = 0")
        emitter.statements(control.body)
        if name == "deparse":
            emitter.line(emitter.exit_code)
        arguments = ", ".join(["packet", "hdr", "meta", "sm"])
        return ["", "", f"def {name}({arguments}):", *_body(emitter)]

    def _colours_of(self, control: nodes.Control) -> list[str]:
        tables = [n for n in walk(control) if isinstance(n, nodes.Table)]
        return [self.direct_colour(t.direct_meter) for t in tables if t.direct_meter is not None]

    def parser(self) -> list[str]:
        """The top-level parser."""
        emitter = self.emitter(self.program.parser.name)
        self._bind(emitter, self.program.parser.parameters, ["hdr", "meta", "sm"])
        emitter.line("pos = 0")
        emitter.line("end = len(data)")
        emitter.parser(self.program.parser)
        return ["", "", "def parse(data, packet, hdr, meta, sm):", *_body(emitter)]

    def _bind(self, emitter: ExternEmitter, parameters: list[nodes.Variable], names: list[str]) -> None:
        composites = [p for p in parameters if is_composite(p.type)]
        for name, parameter in zip(names, composites, strict=False):
            emitter.places[parameter] = Place(parameter.type, name)
            emitter.root(name)

    def text(self) -> str:
        """The module."""
        program = self.program
        functions = self.parser()
        functions += self.control("verify_checksum", program.verify_checksum, ["hdr", "meta"])
        functions += self.control("ingress", program.ingress, ["hdr", "meta", "sm"])
        functions += self.control("egress", program.egress, ["hdr", "meta", "sm"])
        functions += self.control("compute_checksum", program.compute_checksum, ["hdr", "meta"])
        functions += self.control("deparse", program.deparser, ["hdr"])
        roots = {"HEADERS": program.headers, "METADATA": program.metadata}
        roots["STANDARD_METADATA"] = program.standard_metadata
        tail = ["", ""]
        for constant, type_ in roots.items():
            tail.append(f"{constant} = {self.composites.class_name(type_)}")
        self._copy_functions(tail)
        tail.append(f"header_bytes = {self.composites.size(program.headers)}")
        tail.append(f"EGRESS_READS_LENGTH = {self._egress_reads_length()}")
        head = [
            f"# Generated from {program.ingress.span.source.name} by p4cats (target model).",
            "# Do not edit: compile the program again.",
            "from struct import Struct",
            "",
            "from_bytes = int.from_bytes",
            *self.structs.lines(),
        ]
        objects = ["", "", *self._object_lines]
        parts = [
            head,
            self.composites.lines,
            objects,
            self._list_lines,
            self.functions.lines,
            functions,
            tail,
        ]
        return "\n".join(line for part in parts for line in part) + "\n"

    def _copy_functions(self, tail: list[str]) -> None:
        program = self.program
        named = (("headers", program.headers), ("metadata", program.metadata))
        for name, type_ in (*named, ("standard_metadata", program.standard_metadata)):
            call = self.composites.copy(type_, "", "")[0]
            tail.append(f"copy_{name} = {call.partition('(')[0]}")

    def _egress_reads_length(self) -> bool:
        fields = (n for n in walk(self.program.egress) if isinstance(n, nodes.FieldRef))
        return any(
            n.field == "packet_length" and n.base.type is self.program.standard_metadata for n in fields
        )


def _body(emitter: BlockEmitter) -> list[str]:
    lines = [f"    {line}" for line in emitter.prologue] + emitter.lines
    return lines or ["    pass"]


def unit_of(instance: nodes.ExternInstance) -> str:
    """CounterType or MeterType of an instance, as the member's name."""
    for argument in instance.arguments:
        if isinstance(argument.type, Enum) and isinstance(argument, nodes.Const):
            return argument.type.members[argument.value]
    return "packets"


def marked_fields(type_: Struct, index: int, prefix: str = "") -> list[tuple[str, Type]]:
    """Paths of the metadata fields whose @field_list names `index`."""
    found: list[tuple[str, Type]] = []
    for field in type_.fields:
        path = prefix + attribute(field.name)
        if any(index in _numbers(a) for a in field.annotations if a.name == "field_list"):
            found.append((path, field.type))
        elif isinstance(field.type, Struct):
            found += marked_fields(field.type, index, path + ".")
    return found


def _numbers(annotation: P4Annotation) -> set[int]:
    if annotation.expressions is not None:
        return {int(e) for e in annotation.expressions if not isinstance(e, str)}
    numbers = set()
    for part in (annotation.text or "").replace("(", " ").replace(")", " ").split(","):
        digits = part.strip().rsplit("w", 1)[-1] if part.strip()[:1].isdigit() else part.strip()
        try:
            numbers.add(int(digits, 0))
        except ValueError:
            continue
    return numbers


__all__ = ["Module", "marked_fields", "unit_of"]

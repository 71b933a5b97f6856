"""docs/targets.md, made of what the conformance programs show.

A program names the features that it shows in a comment, `// features: one; another`. This module holds the
order of the rows, the features that other tests show, and the reasons where a target lacks one. Write the
page anew with `make golden`, or `python tests/conformance/targets_page.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
PAGE = ROOT / "docs" / "targets.md"

DATAPLANE_TESTS = "tests/unit/model/test_model_dataplane.py"


@dataclass(frozen=True)
class Row:
    """A feature; `test` shows it where no conformance program can; the others say why a target lacks it."""

    feature: str
    test: str = ""
    model: str = ""
    bmv2: str = ""
    xdp: str = ""


SECTIONS: dict[str, list[Row]] = {
    "Values": [
        Row("bit<W> arithmetic"),
        Row("int<W> arithmetic"),
        Row("saturating arithmetic"),
        Row("shifts"),
        Row("slices and concatenation"),
        Row("casts"),
        Row(
            "fields wider than 64 bits",
            xdp="yes; more than 128 bits: all but division, and not as key, action data, digest, register",
        ),
        Row("enum and serialisable enum"),
        Row("typedef and type"),
        Row("error values"),
        Row("tuples"),
        Row("constants"),
        Row("structs: assignment, lists, comparison"),
        Row("generic structs and headers"),
        Row("conditional expressions and short circuit"),
    ],
    "Headers": [
        Row("headers: validity, assignment, comparison"),
        Row("structs inside headers"),
        Row("header sizes"),
        Row("header stacks: next, last, lastIndex"),
        Row("header stacks: push_front, pop_front"),
        Row("header stacks: run-time index", bmv2="yes; it ends where an index is outside"),
        Row("header unions"),
        Row("stacks of header unions"),
        Row("varbit"),
        Row("headers, stacks and unions in metadata"),
        Row(
            "headers whose width is no multiple of 8 bits",
            model="no: simple_switch extracts whole bytes; refused at compile time",
            bmv2="no",
            xdp="no: as the model",
        ),
    ],
    "Statements and blocks": [
        Row("preprocessor"),
        Row("direct calls of actions"),
        Row("functions"),
        Row("return and exit"),
        Row("switch on values"),
        Row("for loops, break, continue", bmv2="where p4c can unroll them"),
        Row("compound assignment"),
        Row(
            "@atomic",
            "tests/xdp/test_xdp_atomic.py",
            bmv2="ignored; an action is atomic in the registers that it uses",
            xdp="yes, by one lock; outside of @atomic each read and write stands for itself",
        ),
        Row("sub-controls"),
        Row("constructor parameters"),
        Row("conditional and repeated emit", bmv2="no: emit only, unconditionally"),
        Row(
            "hundreds of branches, local variables, parser states, tables",
            "tests/xdp/test_xdp_large.py",
            xdp="yes; cut into functions, and slower, where the kernel refuses them in one",
        ),
        Row(
            "statements nested deeper than 90 levels",
            "tests/xdp/test_xdp_large.py::test_statements_may_be_nested_as_deeply_as_the_compiler_reads_them",
            model="no: the limit of Python, in which the model is written; refused at compile time",
            xdp="yes: branches to level 127, where our parser ends",
        ),
    ],
    "Parsers": [
        Row("extract into nothing"),
        Row("lookahead"),
        Row("advance"),
        Row("select on tuples, masks and ranges"),
        Row("value sets"),
        Row("verify and errors of the program's own"),
        Row("parser errors reach ingress"),
        Row("sub-parsers"),
    ],
    "Tables": [
        Row("exact keys"),
        Row("lpm keys"),
        Row("ternary keys"),
        Row("range and optional keys"),
        Row(
            "several lpm keys in a table",
            "tests/xdp/test_xdp_ternary.py::test_wide_ranges_and_several_prefixes_agree_with_the_model",
            bmv2="no: p4c refuses them",
            xdp="yes, as the model: the entry whose prefixes are longest together",
        ),
        Row("keys that are expressions"),
        Row("keys and action data of bool, enum, type, int<W>"),
        Row("tables without keys, default actions with data"),
        Row("actions with directional parameters in tables"),
        Row("const entries"),
        Row("entries with priorities"),
        Row("hit, miss and action_run"),
        Row(
            "action_profile",
            f"{DATAPLANE_TESTS}::test_member_changes_reach_the_entries_that_use_it",
            xdp="yes",
        ),
        Row(
            "action_selector, selector keys",
            f"{DATAPLANE_TESTS}::test_group_spreads_flows_by_the_selector_keys_and_by_weight",
            xdp="yes",
        ),
        Row(
            "idle timeouts",
            f"{DATAPLANE_TESTS}::test_idle_entries_are_reported_each_time_their_timer_runs_out",
            xdp="yes",
        ),
        Row(
            "a table applied twice in one pass",
            "tests/conformance/test_targets_page.py::test_table_twice",
            bmv2="no: p4c refuses it",
        ),
    ],
    "v1model": [
        Row("standard_metadata"),
        Row(
            "timestamps and queue metadata",
            bmv2="yes; time begins with the switch",
            xdp="yes; time is CLOCK_MONOTONIC, as on the model",
        ),
        Row(
            "registers kept over a restart (`--state`)",
            "tests/switch/test_kept_registers.py::test_registers_survive_an_orderly_restart_once",
            bmv2="no",
        ),
        Row(
            "registers kept over a SIGKILL (`--state`, the same program)",
            "tests/switch/test_kept_registers.py::test_on_xdp_registers_survive_a_sigkill_amid_traffic",
            model="no: its registers are in the process",
            bmv2="no",
        ),
        Row(
            "egress queues with rates",
            f"{DATAPLANE_TESTS}::test_rated_queue_holds_packets_back_and_tells_its_depth",
            xdp="no: XDP has no queue; depths read 0",
        ),
        Row("mark_to_drop and the drop port"),
        Row("clone I2E"),
        Row("clone E2E"),
        Row("resubmit"),
        Row("recirculate"),
        Row("field lists"),
        Row("clone3, resubmit(data), recirculate(data), mark_to_drop()", bmv2="with older p4c only"),
        Row("multicast"),
        Row("truncate"),
        Row("counter"),
        Row("direct_counter"),
        Row("meter"),
        Row("direct_meter"),
        Row(
            "register",
            bmv2="of bits only",
            xdp="yes; of structs too, of headers not: they would need validity",
        ),
        Row(
            "registers over P4Runtime",
            "tests/switch/test_service_rpcs.py",
            bmv2="no: UNIMPLEMENTED",
            xdp="yes; a cell of a struct is read and written field by field while packets run",
        ),
        Row("random"),
        Row("digest"),
        Row("hash: crc16, crc32, csum16, xor16, identity"),
        Row(
            "hash: crc16_custom, crc32_custom",
            bmv2="yes; parameters can be set at run time",
            xdp="yes, as crc16 and crc32: P4Runtime cannot set parameters",
        ),
        Row("hash over invalid headers and varbits"),
        Row(
            "hash: random",
            model="no: simple_switch has no such hash; refused at compile time",
            bmv2="no: the program does not load",
            xdp="no: as the model",
        ),
        Row("verify_checksum and update_checksum"),
        Row("checksums with payload"),
        Row("log_msg, assert, assume", bmv2="yes; it ends where an assertion is false"),
        Row("extern instances at top level"),
        Row("V1MODEL_VERSION 20200408"),
        Row("packet-in and packet-out headers"),
        Row(
            "externs that v1model does not declare",
            model="no: nothing says what they do; refused at compile time",
            bmv2="with a switch that was built with them",
            xdp="no: as the model",
        ),
    ],
    "Packet tests": [
        Row("STF counter checks", bmv2="no: p4c's runner ignores them"),
    ],
}

INTRODUCTION = """\
# What each target can do

<!-- Generated by tests/conformance/targets_page.py: edit there, then `make golden`. -->

For those who bring a P4 program. `model` is the reference switch in Python, `bmv2` is p4c with
simple_switch_grpc, `xdp` compiles to eBPF.

"yes" in the columns `model` and `xdp` means that the named conformance programs, with their packet tests,
hold there; tests of this repository see to that. The column `bmv2` is what its documents and sources say:
bmv2 is in no package registry and our tests do not run it. What a target lacks it refuses when the program
is compiled.

## bmv2 by hand

`--target bmv2` starts nothing. Our P4 files are plain P4_16 for v1model; with p4c and bmv2 installed:

```
p4c-bm2-ss -o edge.json --p4runtime-files edge.p4info.txtpb p4src/edge.p4
simple_switch_grpc --no-p4 --device-id 1 -i 1@eth1 -i 2@eth2 -- \\
    --grpc-server-addr 127.0.0.1:9559 --cpu-port 510
```

The controller then pushes `edge.p4info.txtpb` and, as device configuration, the bytes of `edge.json`. The
P4Info that `p4cats compile` writes has the same ids and names. Without `--cpu-port` there is no packet-in and
no packet-out. Switch IPv6 autoconfiguration off on the switch's ports, or the kernel's router solicitations
enter the program. Where both commands are on PATH, `make bench` compares bmv2's packets per second with
those of xdp; that was never run against a real bmv2, only with executables in its place.
"""


def shown() -> dict[str, list[str]]:
    """Conformance programs by feature."""
    found: dict[str, list[str]] = {}
    for path in sorted(PROGRAMS.glob("*.p4")):
        for line in re.findall(r"^// features: (.*)$", path.read_text(), re.M):
            for feature in line.split(";"):
                found.setdefault(feature.strip(), []).append(path.stem)
    return found


def rows() -> Iterator[Row]:
    """All rows of the page."""
    for section in SECTIONS.values():
        yield from section


def page() -> str:
    """The text of docs/targets.md."""
    by_feature = shown()
    lines = [INTRODUCTION]
    for title, section in SECTIONS.items():
        lines += [f"## {title}", "", "| feature | model | bmv2 | xdp | shown by |", "|---|---|---|---|---|"]
        for row in section:
            programs = [
                f"[{name}](../tests/conformance/programs/{name}.p4)"
                for name in by_feature.get(row.feature, [])
            ]
            if row.test:
                path, _, _ = row.test.partition("::")
                programs.append(f"[{Path(path).stem}](../{path})")
            model = row.model or "yes"
            bmv2 = row.bmv2 or "yes"
            feature = row.feature.replace("<", "\\<")
            xdp = row.xdp or "yes"
            lines.append(f"| {feature} | {model} | {bmv2} | {xdp} | {', '.join(programs)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())

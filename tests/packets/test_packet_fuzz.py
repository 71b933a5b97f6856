"""A few thousand packets of `make fuzz-packets` on every run."""

import pytest
from packet_corpus import Mutator, has_option, originals
from packet_fuzz import PARSERS, fuzz

PACKETS = 12_000
NEED_ROOT = {"edge.p4", "transit.p4", "stamp", "steer"}
REACHED = {
    "edge.p4": {"sent", "dropped", "punted", "beacon", "telemetry", "advertised"},
    "transit.p4": {"sent", "dropped", "punted"},
    "stamp": {"stamped", "left", "in"},
    "steer": {"steered", "blanked", "beacon", "in", "out"},
    "reports": {"collected", "malformed"},
    "errors": {"answered", "not answered"},
    "handover": {"taken", "refused", "understood", "not understood"},
    "layers": {"telemetry", "without telemetry"},
    "dissector": {"read"},
}
"""What must become of some packets: else they are too wild, or too tame."""


@pytest.mark.parametrize(
    "parser", [pytest.param(p, marks=pytest.mark.root) if p in NEED_ROOT else p for p in PARSERS]
)
def test_mutated_packets_break_nothing(parser: str) -> None:
    outcome = fuzz(parser, round(PACKETS * PARSERS[parser][1]))
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert set(outcome.fates) >= REACHED[parser]


def test_a_seed_draws_the_same_packets_again() -> None:
    one, two, other = Mutator(1), Mutator(1), Mutator(2)
    drawn = [one.draw() for _ in range(200)]
    assert drawn == [two.draw() for _ in range(200)]
    assert drawn != [other.draw() for _ in range(200)]


def test_originals_are_of_every_format() -> None:
    names = {original.name.split()[0] for original in originals()}
    assert names >= {"response", "beacon", "tunnel", "segments", "int", "report", "solicitation"}
    assert sum(has_option(original.frame) for original in originals()) > 20

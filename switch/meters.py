"""Meter configurations (P4Runtime sections 9.3 and 9.4 on meters; RFC 2697, RFC 2698)."""

from __future__ import annotations

from finsy.proto import p4i, p4r

from p4cats.switch import dataplane as dp
from p4cats.switch.errors import invalid, unimplemented

_NEGATIVE = ("cir", "cburst", "pir", "pburst", "eburst")


def no_counters(message: p4r.MeterEntry | p4r.DirectMeterEntry, what: str) -> None:
    """UNIMPLEMENTED where a message asks for packets counted per color, in a read or a write."""
    if message.HasField("counter_data"):
        raise unimplemented(f"{what}: this target does not count packets per meter color")


def check_config(config: p4r.MeterConfig, type_: p4i.MeterSpec.Type.ValueType, what: str) -> dp.MeterConfig:
    """The configuration for the data plane, checked against the kind of meter."""
    for name in _NEGATIVE:
        if getattr(config, name) < 0:
            raise invalid(f"{what}: {name} is negative")
    spec = p4i.MeterSpec
    if type_ == spec.SINGLE_RATE_THREE_COLOR:
        if config.pir != config.cir or config.pburst != config.cburst:
            raise invalid(f"{what}: a single-rate three-color meter needs pir = cir and pburst = cburst")
        return dp.MeterConfig(config.cir, config.cburst, config.cir, config.cburst + config.eburst)
    if config.eburst:
        raise invalid(f"{what}: eburst is for single-rate three-color meters only")
    if type_ == spec.SINGLE_RATE_TWO_COLOR and (config.pir != config.cir or config.pburst != config.cburst):
        raise invalid(f"{what}: a two-color meter needs pir = cir and pburst = cburst")
    return dp.MeterConfig(config.cir, config.cburst, config.pir, config.pburst)


__all__ = ["check_config", "no_counters"]

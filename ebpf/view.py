"""What a host that steers chooses from: services, instances, keys; told by the controller, or in a file.

The same as the tables of an ingress switch hold (docs/protocol.md, 6); times are microseconds.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from p4cats.ebpf.keys import NO_KEY, Key
from p4cats.protocol import CANDIDATES, INSTANCES

_MAX_24 = (1 << 24) - 1
_MAX_47 = (1 << 47) - 1
InstanceId = Annotated[int, Field(ge=1, lt=INSTANCES)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Candidate(_Model):
    """An instance that new flows may go to."""

    instance: InstanceId
    weight: int = Field(default=1, ge=0, le=65535)
    """Share of new flows under `static`."""
    path_delay_us: int = Field(default=0, ge=0, le=_MAX_24)
    fallback_wait_us: int = Field(default=0, ge=0, le=_MAX_24)
    """Wait that is assumed while packets tell none."""
    wait_step_us: int = Field(default=0, ge=0, le=_MAX_24)
    """By how much one more request lengthens the wait."""


class Service(_Model):
    """A service and its candidates."""

    address: IPv6Address
    id: int = Field(ge=1, le=1023)
    """Unique among the services of the host."""
    policy: Literal["static", "hash", "least", "p2c"] = "least"
    compute_weight: int = Field(default=1, ge=0, le=255)
    network_weight: int = Field(default=1, ge=0, le=255)
    load_ttl_us: int = Field(default=500_000, ge=0, le=_MAX_47)
    dead_after_us: int = Field(default=100_000, ge=1, le=_MAX_47)
    affinity_timeout_us: int = Field(default=30_000_000, ge=0, le=32_400_000_000)
    spread_us: int = Field(default=0, ge=0, le=_MAX_24)
    candidates: tuple[Candidate, ...] = Field(default=(), max_length=CANDIDATES)


class Reach(_Model):
    """How an instance is reached; whether flows may stay with it."""

    instance: InstanceId
    sid: IPv6Address
    via: IPv6Address | None = None
    """A segment on the way."""
    living: bool = True


class MetricKey(_Model):
    """By what the metrics of an instance are believed: a key, or, with key id 0, the address alone."""

    instance: InstanceId
    source: IPv6Address
    """Address of its service."""
    key_id: int = Field(default=0, ge=0, le=255)
    key: SecretStr | None = None
    """16 hexadecimal digits."""

    @model_validator(mode="after")
    def _check(self) -> MetricKey:
        if (self.key is None) != (self.key_id == 0):
            raise ValueError("key and key_id belong together")
        _ = self.value
        return self

    @property
    def value(self) -> Key:
        """Id and octets."""
        return NO_KEY if self.key is None else Key.of(self.key_id, self.key.get_secret_value())


class View(_Model):
    """Everything that a host chooses from."""

    services: tuple[Service, ...] = ()
    instances: tuple[Reach, ...] = ()
    keys: tuple[MetricKey, ...] = ()

    @model_validator(mode="after")
    def _unique(self) -> View:
        for what, found in (
            ("service address", [s.address for s in self.services]),
            ("service id", [s.id for s in self.services]),
            ("instance", [i.instance for i in self.instances]),
            ("key", [(k.instance, k.key_id) for k in self.keys]),
        ):
            if len(found) != len(set(found)):
                raise ValueError(f"the same {what} twice")
        return self

    @property
    def has_keys(self) -> bool:
        """Whether it holds secrets."""
        return any(k.key is not None for k in self.keys)

"""The host agent's configuration, read from a JSON file. The least that works:

{"hosts": [{"netns": "/proc/4711/ns/net", "interface": "edge1-eth0", "instances": [
    {"instance": 1, "address": "2001:db8:cafe::1", "port": 8080, "workers": 4, "service_time_us": 20000,
     "idle_w": 60, "peak_w": 180, "beacons": ["2001:db8:a::1"]}]}]}
"""

from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from p4cats.ebpf.errors import ConfigError
from p4cats.protocol import INSTANCES

_Milliseconds = Annotated[int, Field(gt=0, le=3_600_000)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InstanceConfig(_Model):
    """One service instance at a host."""

    instance: int = Field(ge=1, lt=INSTANCES)
    address: IPv6Address
    """The service's anycast address, which the host holds on its loopback."""
    port: int = Field(default=0, ge=0, le=65535)
    """TCP and UDP port whose connections and datagrams are requests; 0: any."""
    workers: int = Field(gt=0, le=1_000_000)
    service_time_us: int = Field(gt=0, lt=2**32)
    """Time of one request on one worker, believed until measured."""
    measure_service_time: bool = True
    """Learn the service time from requests that found a free worker (a connection, or a datagram
    and its answer). Turn off for connections that carry many requests."""
    idle_w: float = Field(default=0.0, ge=0)
    peak_w: float = Field(default=0.0, ge=0)
    """Of the power model; both zero: power unknown unless measured."""
    beacons: tuple[IPv6Address, ...] = ()
    """Ingress forwarders that get beacons."""


class HostConfig(_Model):
    """A host: a network namespace and its interface towards the network."""

    netns: Path | None = None
    """/run/netns/NAME or /proc/PID/ns/net; None: the agent's own."""
    interface: str = Field(min_length=1, max_length=15)
    link_mbps: float | None = Field(default=None, gt=0)
    """Rate of its link, for the communication score; None: link use is not scored."""
    path_mtu: int = Field(default=0, ge=0, le=65575)
    """Smallest MTU towards clients if less than the interface's; 0: the interface's."""
    instances: tuple[InstanceConfig, ...] = Field(min_length=1)


class AgentConfig(_Model):
    """All hosts of this kernel, and the agent's pace."""

    hosts: tuple[HostConfig, ...] = Field(min_length=1)
    beacon_interval_ms: _Milliseconds = 50
    refresh_interval_ms: _Milliseconds = 100
    report_interval_ms: _Milliseconds = 200
    stale_after_ms: _Milliseconds = 2000
    """Stamping stops when the values have not been refreshed for so long."""
    udp_request_ttl_ms: _Milliseconds = 5000
    """A client socket's UDP requests are given up when none was answered for so long; exceed any answer."""
    power: Literal["auto", "rapl", "model"] = "auto"
    """auto: RAPL when readable and all of one host, else the model."""
    pin_dir: Path = Path("/sys/fs/bpf/p4cats")
    run_dir: Path = Path("/run/p4cats")
    controller_socket: Path | None = None
    """Unix socket of the controller that gets reports; None: no reports."""

    @model_validator(mode="after")
    def _unique(self) -> "AgentConfig":
        ids = [i.instance for host in self.hosts for i in host.instances]
        if len(ids) != len(set(ids)):
            raise ValueError("the same instance id twice")
        services = [(host.netns, i.address) for host in self.hosts for i in host.instances]
        if len(services) != len(set(services)):
            raise ValueError("the same service address twice at one host")
        return self

    @classmethod
    def read(cls, path: Path) -> "AgentConfig":
        """Read a JSON file; raise ConfigError naming the field that is wrong."""
        try:
            return cls.model_validate_json(path.read_text())
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "file"
            more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
            raise ConfigError(f"{path}: {where}: {first['msg']}{more}") from error

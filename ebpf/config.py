"""The host agent's configuration, read from a JSON file. The least that works:

{"hosts": [{"netns": "/proc/4711/ns/net", "interface": "edge1-eth0", "instances": [
    {"instance": 1, "address": "2001:db8:cafe::1", "port": 8080, "workers": 4, "service_time_us": 20000,
     "idle_w": 60, "peak_w": 180, "beacons": ["2001:db8:a::1"]}]}],
 "controller_socket": "/run/p4cats/NETWORK/controller.sock"}

Keys come from the controller. Without one, an instance has its own, `"key_id": 1, "key": "16 hexadecimal
digits"`, in a file that its owner alone may read; or the site does without, `"authentication": "none"`.

A host that steers is an ingress CATS-Forwarder for its own requests: it has `"steer": {"address": "its own",
"host": "its name at the controller"}`; without a controller, `"view"` instead of `"host"` (see `view`).
"""

import stat
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from p4cats.ebpf import system
from p4cats.ebpf.errors import ConfigError
from p4cats.ebpf.keys import Key
from p4cats.ebpf.view import View
from p4cats.normalisation import DEFAULT, Normalisation
from p4cats.protocol import INSTANCES

_Milliseconds = Annotated[int, Field(gt=0, le=3_600_000)]


def _is_power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError("must be a power of two")
    return value


_Room = Annotated[int, Field(ge=8, le=1 << 22), AfterValidator(_is_power_of_two)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InstanceConfig(_Model):
    """One service instance at a host."""

    instance: int = Field(ge=1, lt=INSTANCES)
    address: IPv6Address
    """The service's anycast address, which the host holds on its loopback."""
    port: int = Field(default=0, ge=0, le=65535)
    """TCP and UDP port whose connections and datagrams are requests; 0: any."""
    tcp_request: Literal["connection", "exchange"] = "connection"
    """What counts as one request: a connection, or, where connections are kept open for many, data from the
    client that waits for data from the service."""
    workers: int = Field(gt=0, le=1_000_000)
    service_time_us: int = Field(gt=0, lt=2**32)
    """Time of one request on one worker, believed until measured."""
    measure_service_time: bool = True
    """Learn the service time from requests that found a free worker (a connection, or a datagram
    and its answer). Turn off for connections that carry many requests and count as one."""
    idle_w: float = Field(default=0.0, ge=0)
    peak_w: float = Field(default=0.0, ge=0)
    """Of the power model; both zero: power unknown unless measured."""
    beacons: tuple[IPv6Address, ...] = ()
    """Ingress forwarders that get beacons."""
    normalisation: Normalisation = DEFAULT
    """How its raw metrics become scores."""
    draining: bool = False
    """Say so in every stamp: no new flow comes, those that are there stay."""
    key_id: int | None = Field(default=None, ge=1, le=255)
    key: SecretStr | None = None
    """Key of the MAC, 16 hexadecimal digits, for a site without a controller."""

    @model_validator(mode="after")
    def _check_key(self) -> "InstanceConfig":
        if (self.key is None) != (self.key_id is None):
            raise ValueError("key and key_id belong together")
        self.configured_key()
        return self

    def configured_key(self) -> Key | None:
        """Return the key that the file holds, None if it holds none."""
        if self.key is None or self.key_id is None:
            return None
        return Key.of(self.key_id, self.key.get_secret_value())


class SteerConfig(_Model):
    """An ingress CATS-Forwarder on the host itself."""

    address: IPv6Address
    """The host's own: source of its tunnels, and beacons come to it."""
    host: str | None = None
    """Name by which the controller knows the host and tells it what to choose from."""
    view: View | None = None
    """What to choose from, without a controller."""

    @model_validator(mode="after")
    def _check(self) -> "SteerConfig":
        if (self.host is None) == (self.view is None):
            raise ValueError("give the host's name at the controller, or a view")
        return self


class HostConfig(_Model):
    """A host: a network namespace and its interface towards the network."""

    netns: Path | None = None
    """/run/netns/NAME or /proc/PID/ns/net; None: the agent's own."""
    interface: str = Field(min_length=1, max_length=15)
    link_mbps: float | None = Field(default=None, gt=0)
    """Rate of its link, for the communication score; None: link use is not scored."""
    path_mtu: int = Field(default=0, ge=0, le=65575)
    """Smallest MTU towards clients if less than the interface's; 0: the interface's."""
    instances: tuple[InstanceConfig, ...] = ()
    steer: SteerConfig | None = None

    @model_validator(mode="after")
    def _does_something(self) -> "HostConfig":
        if not self.instances and self.steer is None:
            raise ValueError("a host has instances, or steers")
        return self


class AgentConfig(_Model):
    """All hosts of this kernel, and the agent's pace."""

    hosts: tuple[HostConfig, ...] = Field(min_length=1)
    authentication: Literal["mac", "none"] = "mac"
    """none: stamps carry key id 0 and no MAC."""
    beacon_interval_ms: _Milliseconds = 25
    beacon_min_ms: _Milliseconds = 5
    """Shortest time between two beacons of an instance, when its expected wait changes."""
    refresh_interval_ms: _Milliseconds = 200
    """How often to look when nothing changes."""
    refresh_min_ms: _Milliseconds = 10
    """How often to look while anything changes, and to read the scheduler."""
    report_interval_ms: _Milliseconds = 200
    stale_after_ms: _Milliseconds = 3000
    """Stamping stops when the values have not been refreshed for so long."""
    request_ttl_ms: _Milliseconds = 5000
    """A client socket's datagrams and exchanges are given up when none was answered for so long; exceed any
    answer."""
    flows: _Room = 8192
    """So many client sockets with datagrams or exchanges that wait have room."""
    tcp_connections: _Room = 131_072
    """The same of connections. From half of it on, one or another is not counted; 16 octets each."""
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
        names = [host.steer.host for host in self.hosts if host.steer and host.steer.host]
        if len(names) != len(set(names)):
            raise ValueError("the same steering host twice")
        if names and self.controller_socket is None:
            raise ValueError(f"{names[0]} steers as the controller says: name a controller_socket")
        if self.authentication == "mac" and self.controller_socket is None:
            for instance in (i for host in self.hosts for i in host.instances if i.key is None):
                raise ValueError(
                    f"instance {instance.instance} has no key: name a controller_socket, give it key and"
                    ' key_id, or set "authentication": "none"'
                )
        return self

    @property
    def has_keys(self) -> bool:
        """Whether the file holds keys."""
        views = (host.steer.view for host in self.hosts if host.steer)
        return any(view.has_keys for view in views if view) or any(
            i.key is not None for host in self.hosts for i in host.instances
        )

    @classmethod
    def read(cls, path: Path) -> "AgentConfig":
        """Read a JSON file; raise ConfigError naming the field that is wrong, never a value of it."""
        try:
            config = cls.model_validate_json(path.read_text())
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "file"
            more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
            # Without its cause, which quotes the input: that may be a key.
            raise ConfigError(f"{path}: {where}: {first['msg']}{more}") from None
        if config.has_keys and mode & 0o077:
            raise ConfigError(f"{path} holds keys and others may read it: chmod 600 {path}")
        if config.has_keys and system.file_system(config.run_dir) == "tmpfs":
            raise ConfigError(
                f"{path}: run_dir: {config.run_dir} forgets sequence numbers at a reboot, and keys of the"
                " file must not be used without them: choose one on a disk"
            )
        return config

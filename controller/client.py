"""Client of a running controller, over its Unix socket. Loads neither the controller nor gRPC.

client = connect()              # the one network that runs here
client.status()["converged"]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import httpx

from p4cats.controller.errors import ControllerUnreachable, RequestRefused
from p4cats.controller.views import ExplainView, InstanceView, ServiceView, StatusView, TelemetryView

RUN_DIRECTORY = Path("/run/p4cats")
TIMEOUT_S = 10.0
FLOW_FORM = "SRC,DST[,PROTOCOL[,SPORT,DPORT]]"


def socket_path(network: str, directory: Path = RUN_DIRECTORY) -> Path:
    """Return where the controller of a network listens."""
    return directory / network / "controller.sock"


def running(directory: Path = RUN_DIRECTORY) -> list[str]:
    """Return the names of the networks that have a controller's socket."""
    return sorted(path.parent.name for path in directory.glob("*/controller.sock"))


def connect(network: str | None = None, directory: Path = RUN_DIRECTORY) -> ControllerClient:
    """Return a client of a network's controller, of the only one if no name is given.

    ControllerUnreachable when none runs, or several and none is named.
    """
    names = running(directory)
    start = "start a network with: p4cats up TOPOLOGY.yaml"
    if network is None:
        if not names:
            raise ControllerUnreachable(f"no network is running here; {start}")
        if len(names) > 1:
            raise ControllerUnreachable(
                f"several networks are running, name one: --network {' | '.join(names)}"
            )
        network = names[0]
    elif network not in names:
        others = f"running: {', '.join(names)}" if names else start
        raise ControllerUnreachable(f"network {network} is not running here; {others}")
    return ControllerClient(socket_path(network, directory))


class ControllerClient:
    """Talks to the controller that listens on a Unix socket. Methods raise ControllerUnreachable."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S):
        self.path = path
        transport = httpx.HTTPTransport(uds=str(path))
        self._http = httpx.Client(transport=transport, base_url="http://controller", timeout=timeout_s)

    def __enter__(self) -> ControllerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def status(self) -> StatusView:
        """Return the state of the controller and its switches."""
        return cast(StatusView, self._ask("GET", "/status"))

    def services(self) -> list[ServiceView]:
        """Return all services."""
        return cast("list[ServiceView]", self._ask("GET", "/services"))

    def instances(self) -> list[InstanceView]:
        """Return all instances."""
        return cast("list[InstanceView]", self._ask("GET", "/instances"))

    def explain(self, flow: str) -> ExplainView:
        """Say why a flow goes where it goes; `flow` is SRC,DST[,PROTOCOL[,SPORT,DPORT]]."""
        parts = [part.strip() for part in flow.split(",")]
        if len(parts) not in (2, 3, 5) or not all(parts):
            raise RequestRefused(400, f"{flow}: a flow is written {FLOW_FORM}")
        query = dict(zip(("src", "dst", "protocol", "sport", "dport"), parts, strict=False))
        return cast(ExplainView, self._ask("GET", "/explain", params=query))

    def set_service(
        self,
        name: str,
        *,
        policy: str | None = None,
        compute_weight: int | None = None,
        network_weight: int | None = None,
        weights: Mapping[int, int] | None = None,
    ) -> None:
        """Change how the instances of a service are chosen."""
        change = {"policy": policy, "compute_weight": compute_weight, "network_weight": network_weight}
        body: dict[str, Any] = {key: value for key, value in change.items() if value is not None}
        if weights:
            body["weights"] = {str(number): weight for number, weight in weights.items()}
        self._ask("PATCH", f"/services/{name}", json=body)

    def set_instance(self, instance: int, *, state: str | None = None, weight: int | None = None) -> None:
        """Change the availability (up, drained, down) or the weight of an instance."""
        change = {"state": state, "weight": weight}
        body = {key: value for key, value in change.items() if value is not None}
        self._ask("PATCH", f"/instances/{instance}", json=body)

    def set_segment(self, instance: int, ingress: str, segment: str | None) -> None:
        """Let an ingress switch reach an instance by way of another switch, None: the shortest way."""
        self._ask("PATCH", f"/instances/{instance}", json={"segments": {ingress: segment}})

    def set_delay(self, source: str, destination: str, delay_us: int | None) -> None:
        """Set the measured one-way delay between two switches, None: the plan's."""
        self._ask("PUT", f"/delays/{source}/{destination}", json={"delay_us": delay_us})

    def telemetry(self) -> TelemetryView:
        """Return what telemetry samples."""
        return cast(TelemetryView, self._ask("GET", "/telemetry"))

    def set_telemetry(
        self,
        *,
        on: bool | None = None,
        flow_share: float | None = None,
        packet_share: float | None = None,
        services: Iterable[str] | None = None,
    ) -> TelemetryView:
        """Change what telemetry samples, shares above 0 and at most 1; return all of it."""
        change = {"on": on, "flow_share": flow_share, "packet_share": packet_share}
        body: dict[str, Any] = {key: value for key, value in change.items() if value is not None}
        if services is not None:
            body["services"] = list(services)
        return cast(TelemetryView, self._ask("PATCH", "/telemetry", json=body))

    def report(self, instances: Iterable[Mapping[str, Any]]) -> int:
        """Report metrics of instances, as an agent does; return how many were news."""
        body = {"instances": [dict(item) for item in instances]}
        return cast("dict[str, int]", self._ask("POST", "/metrics", json=body))["taken"]

    def converged(self, timeout_s: float = 30.0) -> bool:
        """Wait until all switches hold what they should; False if it takes longer."""
        query = {"timeout_s": timeout_s}
        answer = self._ask("POST", "/converged", params=query, timeout=timeout_s + TIMEOUT_S)
        return cast("dict[str, bool]", answer)["converged"]

    def _ask(self, method: str, url: str, **options: Any) -> object:
        try:
            answer = self._http.request(method, url, **options)
        except httpx.TimeoutException:
            raise ControllerUnreachable(f"the controller at {self.path} does not answer") from None
        except httpx.TransportError:
            raise ControllerUnreachable(
                f"no controller answers at {self.path}; start a network with: p4cats up TOPOLOGY.yaml"
            ) from None
        if answer.is_error:
            raise RequestRefused(answer.status_code, _sentence(answer))
        return answer.json()


def _sentence(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"the controller failed: HTTP {answer.status_code}; see its log"

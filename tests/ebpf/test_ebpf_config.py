"""Configuration, environment and reports: what a user gets wrong is said in one line."""

import json
import platform
import socketserver
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ebpf_hosts import eventually

from p4cats.ebpf import build, normalise, sense, system
from p4cats.ebpf.agent import main, run_agent
from p4cats.ebpf.config import AgentConfig, HostConfig
from p4cats.ebpf.errors import ConfigError, MissingError
from p4cats.ebpf.meter import InstanceMeter, Metrics, Network
from p4cats.ebpf.reporter import HttpReporter, Report, _told
from p4cats.ebpf.view import View

INSTANCE: dict[str, Any] = {
    "instance": 1,
    "address": "fd00::1",
    "workers": 4,
    "service_time_us": 1000,
    "idle_w": 50,
    "peak_w": 150,
}


def document(**changes: Any) -> dict[str, Any]:
    hosts = [{"interface": "eth0", "instances": [{**INSTANCE, **changes}]}]
    return {"hosts": hosts, "authentication": "none"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "hosts: Field required"),
        ({"hosts": []}, "hosts: Tuple should have at least 1 item"),
        (document(colour="red"), r"hosts\.0\.instances\.0\.colour: Extra inputs"),
        (document(instance=1024), r"instances\.0\.instance: Input should be less than 1024"),
        (document(address="10.0.0.1"), r"instances\.0\.address: .*IPv6"),
        (document(workers=0), r"instances\.0\.workers: Input should be greater than 0"),
        ({**document(), "beacon_interval_ms": -5}, "beacon_interval_ms: Input should be greater than 0"),
        (
            {"hosts": [{"interface": "a", "instances": [INSTANCE, {**INSTANCE, "address": "fd00::2"}]}]},
            "the same instance id twice",
        ),
        (
            {"hosts": [{"interface": "a", "instances": [INSTANCE, {**INSTANCE, "instance": 2}]}]},
            "the same service address twice",
        ),
    ],
)
def test_a_wrong_configuration_names_the_field(tmp_path: Path, content: dict[str, Any], message: str):
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=message) as error:
        AgentConfig.read(path)
    assert "\n" not in str(error.value)


def test_the_agent_ends_with_one_line_and_1_for_a_users_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run_agent(tmp_path / "missing.json") == 1
    assert capsys.readouterr().err == f"p4cats agent: {tmp_path}/missing.json: No such file or directory\n"
    assert main([]) == 2


def test_a_configuration_survives_its_json_form():
    config = AgentConfig.model_validate(document(beacons=["fd00::9"]))
    assert AgentConfig.model_validate_json(config.model_dump_json()) == config


# -- the machine


def test_without_root_the_agent_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MissingError, match="run with sudo"):
        system.require_root()


def test_without_clang_the_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    build.clang.cache_clear()
    with pytest.raises(MissingError, match="apt install clang"):
        build.clang()


@pytest.mark.parametrize(
    "module", [pytest.param(None, id="none"), pytest.param(ModuleType("bcc"), id="the one of PyPI")]
)
def test_without_bcc_the_package_is_named(monkeypatch: pytest.MonkeyPatch, module: ModuleType | None):
    monkeypatch.setitem(sys.modules, "bcc", module)
    with pytest.raises(MissingError, match="apt install python3-bpfcc"):
        sense._bcc()


def headers(root: Path, name: str, *files: str) -> Path:
    for file in files:
        (root / name / file).parent.mkdir(parents=True, exist_ok=True)
        (root / name / file).write_text("")
    return root / name


KCONFIG, AUTOCONF = "include/linux/kconfig.h", "include/generated/autoconf.h"


@pytest.fixture
def no_own_headers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("BCC_KERNEL_SOURCE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "src").mkdir()
    return tmp_path / "src"


def test_the_running_kernels_own_headers_are_left_to_bcc(no_own_headers: Path, tmp_path: Path):
    headers(tmp_path / "modules", platform.release(), "build/include/x")
    assert system.kernel_source(no_own_headers, tmp_path / "modules") is None


def test_debians_split_headers_become_one_tree(no_own_headers: Path):
    for version in ("6.1.0-9", "6.1.0-56"):
        headers(no_own_headers, f"linux-headers-{version}-common", KCONFIG)
        headers(no_own_headers, f"linux-headers-{version}-amd64", AUTOCONF)
    tree = system.kernel_source(no_own_headers, Path("/nonexistent"))
    assert tree is not None
    assert tree.name == "linux-headers-6.1.0-56-amd64"  # the newest, by number
    assert (tree / KCONFIG).exists()
    assert (tree / AUTOCONF).exists()
    assert system.kernel_source(no_own_headers, Path("/nonexistent")) == tree
    assert [p.name for p in tree.parent.iterdir()] == [tree.name]


def test_whole_headers_serve_as_they_are(no_own_headers: Path):
    whole = headers(no_own_headers, "linux-headers-5.15.0-1-generic", KCONFIG, AUTOCONF)
    assert system.kernel_source(no_own_headers, Path("/nonexistent")) == whole


def test_without_any_headers_the_package_is_named(no_own_headers: Path):
    with pytest.raises(MissingError, match="apt install linux-headers"):
        system.kernel_source(no_own_headers, Path("/nonexistent"))


def test_pins_outside_a_bpf_file_system_are_refused(tmp_path: Path):
    with pytest.raises(MissingError, match="not on a BPF file system: mount -t bpf"):
        system.ensure_bpffs(tmp_path / "pins")


# -- readings and reports


def test_network_use_and_loss_come_from_the_interfaces_counters(tmp_path: Path):
    path = tmp_path / "dev"
    row = "  eth0: {} {} 0 0 0 0 0 0 {} {} 0 {} 0 0 0 0\n"
    path.write_text("Inter-|\n" + row.format(1000, 10, 2000, 20, 0))
    host = HostConfig.model_validate({"interface": "eth0", "link_mbps": 1, "instances": [INSTANCE]})
    network = Network(host, path.open("rb", buffering=0))
    assert network.read(10.0).link_use == 0
    path.write_text("Inter-|\n" + row.format(63_500, 60, 2000, 60, 10))
    use = network.read(11.0)
    assert use.link_use == pytest.approx(0.5)  # 62,500 octets in a second of 1 Mbit/s
    assert use.loss == pytest.approx(0.1)
    network.close()


def meter(**changes: Any) -> InstanceMeter:
    return InstanceMeter(AgentConfig.model_validate(document(**changes)).hosts[0].instances[0])


def counters(**changes: int) -> dict[str, Any]:
    names = (
        *("tcp_opened", "tcp_closed", "udp_requests", "udp_responses", "udp_aged"),
        *("service_time_ns", "stamped"),
    )
    return dict.fromkeys(names, 0) | changes


def test_power_is_modelled_on_busy_workers_unless_measured():
    full = meter()
    assert full.power_mw(None) == 50_000
    for second in range(20):
        full.learn(counters(tcp_opened=9), second)
    assert full.power_mw(None) == pytest.approx(150_000, rel=0.001)
    assert full.power_mw(77.5) == 77_500


def test_the_service_time_is_the_configured_one_until_measured():
    measuring, fixed = meter(), meter(measure_service_time=False)
    for one, service_time_ns, believed_us in (
        (measuring, 0, 1000), (measuring, 2_500_000, 2500), (fixed, 2_500_000, 1000)
    ):  # fmt: skip
        one.learn(counters(service_time_ns=service_time_ns), 0.0)
        assert one.service_time_us == believed_us


class Controller(socketserver.ThreadingUnixStreamServer):
    """What a controller's /metrics got."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.posts: list[tuple[str, Any]] = []
        super().__init__(str(path), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Controller)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, json.loads(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(7, 3, 1500, 12, 60_000, normalise.Scores(9, 8, 7, 6, 5), 42, 1000)


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    with Controller(tmp_path / "controller.sock") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_reports_are_posted_as_json(tmp_path: Path, controller: Controller, metrics: Metrics):
    reporter = HttpReporter(tmp_path / "controller.sock")
    reporter(Report([metrics]))
    eventually(lambda: controller.posts, "a report")
    reporter.close()
    path, body = controller.posts[0]
    assert path == "/metrics"
    assert body == {
        "instances": [
            {
                "instance": 7,
                "in_flight": 3,
                "wait_us": 1500,
                "run_queue_us": 12,
                "power_mw": 60_000,
                "scores": {"norm_fi": 9, "compute": 8, "communication": 7, "service": 6, "composed": 5},
                "seq": 42,
                "raw": {},
            }
        ]
    }


def test_an_absent_controller_is_logged_once_and_found_later(
    tmp_path: Path, metrics: Metrics, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "late.sock"
    reporter = HttpReporter(path)
    for _ in range(3):
        reporter(Report([metrics]))
        eventually(lambda: reporter._newest is None, "the report taken")
    eventually(lambda: "retrying quietly" in caplog.text, "a log line")
    with Controller(path) as late:
        thread = threading.Thread(target=late.serve_forever, args=(0.01,))
        thread.start()

        def reported() -> bool:
            reporter(Report([metrics]))
            return bool(late.posts)

        eventually(reported, "a report")
        eventually(lambda: "reached again" in caplog.text, "a second log line")
        reporter.close()
        late.shutdown()
        thread.join()
    assert caplog.text.count("retrying quietly") == 1


def test_an_answer_brings_keys_and_views(tmp_path: Path, metrics: Metrics):
    view = {"services": [{"address": "fd00:cafe::1", "id": 1}], "instances": [], "keys": []}
    answer = {
        "keys": [{"instance": 7, "key_id": 3, "key": "0011223344556677"}],
        "views": {"client": {"revision": "a.1", **view}},
    }
    told = _told(json.dumps(answer).encode())
    assert told.keys[7].key_id == 3
    assert told.views == {"client": ("a.1", View.model_validate(view))}


@pytest.mark.parametrize(
    "views", [[], {"client": {}}, {"client": {"revision": "a.1", "services": 5}}, {"c": 5}]
)
def test_a_view_that_makes_no_sense_is_refused_without_showing_it(views: object):
    with pytest.raises(ValueError, match="its views are not understood"):
        _told(json.dumps({"views": views}).encode())


@pytest.mark.parametrize(
    ("steer", "message"),
    [
        ({"address": "fd00::1"}, "give the host's name at"),
        (
            {"address": "fd00::1", "host": "c", "view": {}},
            "give the host's name at",
        ),
        ({"address": "fd00::1", "host": "c"}, "c steers as the controller says: name a controller_socket"),
        (
            {"address": "fd00::1", "view": {"keys": [{"instance": 1, "source": "::1", "key_id": 1}]}},
            "key and key_id belong together",
        ),
        (
            {"address": "fd00::1", "view": {"instances": [{"instance": 1, "sid": "::1"}] * 2}},
            "the same instance twice",
        ),
    ],
)
def test_a_steering_host_that_makes_no_sense_is_one_line(
    tmp_path: Path, steer: dict[str, object], message: str
):
    path = tmp_path / "agent.json"
    path.write_text(json.dumps({"hosts": [{"interface": "eth0", "steer": steer}]}))
    with pytest.raises(ConfigError, match=message) as error:
        AgentConfig.read(path)
    assert "\n" not in str(error.value)


def test_a_view_with_keys_must_not_be_readable_by_others(tmp_path: Path):
    key = {"instance": 1, "source": "::1", "key_id": 1, "key": "0011223344556677"}
    host = {"interface": "eth0", "steer": {"address": "fd00::1", "view": {"keys": [key]}}}
    path = tmp_path / "agent.json"
    path.write_text(json.dumps({"hosts": [host], "run_dir": str(tmp_path)}))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        AgentConfig.read(path)
    path.chmod(0o600)
    assert "0011223344556677" not in repr(AgentConfig.read(path))

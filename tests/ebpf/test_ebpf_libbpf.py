"""The libbpf wrapper, on the running kernel."""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from ebpf_hosts import Hosts

from p4cats import netns
from p4cats.ebpf import build, system
from p4cats.ebpf.errors import BuildError, LibbpfError, VerifierError
from p4cats.ebpf.libbpf import Btf, Map, Object, TcHook, XdpHook, probe_bpf, version

pytestmark = pytest.mark.root

SOURCE = """
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct inner { __u8 name[6]; __u16 port; };
struct key { __u32 id; struct inner inner; };
struct value { __u64 count; __s32 balance; __u8 flag; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10000);
	__type(key, struct key);
	__type(value, struct value);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} per_cpu SEC(".maps");

const volatile __u32 verdict = 1;
const volatile __u16 other = 7;

SEC("xdp")
int decide(struct xdp_md *ctx)
{
	__u32 slot = 1, *n = bpf_map_lookup_elem(&per_cpu, &slot);

	if (n)
		(*n)++;
	return other == 7 ? verdict : 0;
}

SEC("tc")
int pass(struct __sk_buff *skb) { return -1; }

char _license[] SEC("license") = "Dual BSD/GPL";
"""

REFUSED = """
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp")
int beyond(struct xdp_md *ctx)
{
	return *(__u8 *)(long)ctx->data; /* no bounds check */
}
char _license[] SEC("license") = "Dual BSD/GPL";
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "sample.bpf.c"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def sample(source: Path) -> Iterator[Object]:
    with Object.open(build.compile_bpf(source)) as opened:
        yield opened


def test_an_object_is_compiled_once_and_again_when_its_header_changes(source: Path):
    header = source.parent / "part.h"
    header.write_text("#define X 1\n")
    source.write_text('#include "part.h"\n' + SOURCE)
    first = build.compile_bpf(source)
    stamp = first.stat().st_mtime_ns
    assert build.compile_bpf(source) == first
    assert first.stat().st_mtime_ns == stamp
    header.write_text("#define X 2\n")
    assert build.compile_bpf(source) != first


def test_a_source_that_does_not_compile_is_refused_with_the_compilers_words(source: Path):
    source.write_text("int f(void) { return nonsense; }\n")
    with pytest.raises(BuildError, match=r"clang refused sample\.bpf\.c[\s\S]*nonsense"):
        build.compile_bpf(source)


def test_an_object_lists_its_maps_and_programs_before_it_is_loaded(sample: Object):
    assert {"table", "per_cpu"} <= sample.maps.keys()
    assert {name: p.section for name, p in sample.programs.items()} == {"decide": "xdp", "pass": "tc"}
    with pytest.raises(LibbpfError, match="decide is not loaded"):
        _ = sample.programs["decide"].fd


def test_a_global_constant_is_set_before_loading(sample: Object):
    sample.set_global("verdict", 2)
    sample.load()
    assert sample.programs["decide"].test_run(bytes(64)).retval == 2


def test_an_unknown_global_is_named(sample: Object):
    with pytest.raises(LibbpfError, match="no global variable missing"):
        sample.set_global("missing", 1)


def test_map_entries_are_set_read_taken_and_deleted(sample: Object):
    sample.load()
    table = sample.maps["table"]
    key = table.key_layout.encode({"id": 5, "inner.name": b"abc", "inner.port": 80})
    assert key == struct.pack("=I6sH", 5, b"abc", 80)
    value = table.value_layout.encode({"count": 2**40, "balance": -3, "flag": 1})
    assert table.lookup(key) is None
    table.update(key, value)
    found = table.lookup(key)
    assert found is not None
    assert table.value_layout.decode(found) == {"count": 2**40, "balance": -3, "flag": 1}
    assert list(table.items()) == [(key, value)]
    with pytest.raises(LibbpfError) as refused:
        table.update(key, value, flags=1)
    assert refused.value.errno == errno.EEXIST
    assert table.pop(key) == value
    assert table.pop(key) is None
    assert not table.delete(key)


def test_a_key_or_value_of_the_wrong_size_is_refused(sample: Object):
    sample.load()
    with pytest.raises(ValueError, match="key of 3 octets, not 12"):
        sample.maps["table"].lookup(b"abc")
    with pytest.raises(ValueError, match="value of 1 octets, not 16"):
        sample.maps["table"].update(bytes(12), b"a")
    with pytest.raises(KeyError, match="no such field: nope"):
        sample.maps["table"].value_layout.encode({"nope": 1})


def test_batches_return_every_entry_once(sample: Object):
    sample.load()
    table = sample.maps["table"]
    keys = {struct.pack("=I8x", i) for i in range(9000)}
    for key in keys:
        table.update(key, bytes(16))
    seen = [key for key, _ in table.items_batch()]
    assert len(seen) == len(keys)
    assert set(seen) == keys
    assert set(table.keys()) == keys


def test_an_empty_map_has_no_items(sample: Object):
    sample.load()
    assert list(sample.maps["table"].items_batch()) == []
    assert list(sample.maps["table"].items()) == []


def test_per_cpu_values_add_up_over_the_cpus(sample: Object):
    sample.load()
    sample.programs["decide"].test_run(bytes(64), repeat=1000)
    values = sample.maps["per_cpu"].lookup_per_cpu(struct.pack("=I", 1))
    assert sum(int.from_bytes(v, "little") for v in values) == 1000


def test_a_refused_program_shows_the_verifiers_reason_and_nothing_is_printed(
    source: Path, capfd: pytest.CaptureFixture[str]
):
    source.write_text(REFUSED)
    with (
        Object.open(build.compile_bpf(source)) as opened,
        pytest.raises(VerifierError, match="program beyond") as refused,
    ):
        opened.load()
    assert "invalid access to packet" in str(refused.value)
    assert "processed" not in str(refused.value)
    assert len(str(refused.value).splitlines()) < 10
    assert capfd.readouterr().err == ""


def test_a_file_that_is_no_object_is_refused(tmp_path: Path):
    path = tmp_path / "text.o"
    path.write_text("no ELF")
    with pytest.raises(LibbpfError, match=r"text\.o"):
        Object.open(path)


def test_the_kernel_loads_what_we_need_and_libbpf_has_a_version():
    assert probe_bpf() == "tc, tracepoint, XDP programs load"
    assert version().split(".")[0] == "1"


def test_a_pinned_map_is_shared_between_objects(sample: Object, source: Path):
    pins = Path(f"/sys/fs/bpf/p4cats-test-pin-{os.getpid()}")
    system.ensure_bpffs(pins)
    try:
        sample.maps["table"].set_pin_path(pins / "table")
        sample.load()
        sample.maps["table"].update(bytes(12), bytes(15) + b"x")
        with Object.open(build.compile_bpf(source)) as second:
            second.maps["table"].set_pin_path(pins / "table")
            second.load()
            assert second.maps["table"].lookup(bytes(12)) == bytes(15) + b"x"
        again = Map.pinned(pins / "table")
        assert again.info.id == sample.maps["table"].info.id
        assert [f.name for f in again.value_layout.fields] == ["count", "balance", "flag"]
        again.close()
    finally:
        for pin in pins.iterdir():
            pin.unlink()
        pins.rmdir()


def test_offsets_of_kernel_structs_come_from_the_running_kernel():
    with Btf.vmlinux() as types:
        assert types.offset("sock", "__sk_common") == 0
        assert types.offset("sock_common", "skc_family") > 0  # behind two anonymous unions
        nested = types.offset("sock", "__sk_common.skc_net.net")
        assert nested == types.offset("sock_common", "skc_net")
        with pytest.raises(LibbpfError, match="struct sock has no not_there"):
            types.offset("sock", "not_there")
        with pytest.raises(LibbpfError, match="no type no_such_struct"):
            types.offset("no_such_struct", "x")


def test_tc_programs_attach_and_detach_in_a_namespace(sample: Object, hosts: Hosts):
    sample.load()
    with netns.entered(hosts.client):
        index = socket.if_nametoindex("c1")
        assert TcHook(index, "both").create()
        assert not TcHook(index, "both").create()
        hook = TcHook(index, "egress")
        hook.attach(sample.programs["pass"], priority=7)
        assert hook.query(priority=7) == sample.programs["pass"].info().id
        with pytest.raises(LibbpfError, match="attach pass to egress"):
            hook.attach(sample.programs["pass"], priority=7)
        assert hook.detach(priority=7)
        assert not hook.detach(priority=7)
        assert hook.query(priority=7) is None
        TcHook(index, "both").destroy()
        TcHook(index, "both").destroy()


def test_an_xdp_program_attaches_and_detaches(sample: Object, hosts: Hosts):
    sample.load()
    with netns.entered(hosts.client):
        index = 1  # loopback: generic mode only
        hook = XdpHook(index, "generic")
        hook.attach(sample.programs["decide"])
        assert hook.query() == sample.programs["decide"].info().id
        with pytest.raises(LibbpfError):
            hook.attach(sample.programs["decide"])
        hook.attach(sample.programs["decide"], replace=True)
        hook.detach()
        assert hook.query() is None

from __future__ import annotations

import subprocess
import sys

import pytest

from p4cats import replay


def test_every_public_name_is_exported_and_sorted() -> None:
    assert replay.__all__ == sorted(replay.__all__)
    assert sorted(replay._HOME) == replay.__all__
    for name in replay.__all__:
        assert getattr(replay, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        replay.nothing  # noqa: B018


@pytest.mark.parametrize("module", ["server", "client"])
def test_processes_that_start_often_import_little(module: str) -> None:
    code = f"import sys, p4cats.replay.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"rich", "pydantic", "polars", "numpy", "dataclasses", "http.client", "csv", "p4cats.protocol"}
    assert not heavy & set(done.stdout.split())

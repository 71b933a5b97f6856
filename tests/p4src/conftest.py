"""Fixtures of the shipped programs' packet tests."""

import os
from collections.abc import Iterator

import pytest
from ingress import Ingress

ROOT_ONLY = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="loading eBPF programs needs root"),
]


@pytest.fixture(scope="module", params=["model", pytest.param("xdp", marks=ROOT_ONLY)])
def started(request: pytest.FixtureRequest) -> Iterator[Ingress]:
    found = Ingress(request.param)
    yield found
    found.close()


@pytest.fixture
def ingress(started: Ingress) -> Ingress:
    """An ingress forwarder that has learned nothing yet."""
    started.reset()
    return started

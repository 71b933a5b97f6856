"""Fixtures of the emulation tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from emulation_helpers import interfaces, owned_by


@pytest.fixture
def nothing_left() -> Callable[[int], None]:
    """A check that nothing of an owner (its process id) is left."""
    before = interfaces()

    def check(pid: int) -> None:
        assert owned_by(pid) == []
        assert interfaces() <= before

    return check

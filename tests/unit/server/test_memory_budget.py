"""What requests may hold follows from what is granted, less what is held already and one peak."""

import pytest

from server import machine, memory_budget
from server.errors import StartError
from server.machine import Held
from server.memory import MEGABYTE
from server.settings import Settings, resolve

WARM = Held(resident=200 * MEGABYTE, virtual=800 * MEGABYTE)


def settings(**given: object) -> Settings:
    return resolve({name.upper(): str(value) for name, value in given.items()})


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_limit", lambda: 8192 * MEGABYTE)
    monkeypatch.setattr(machine, "address_space_limit", lambda: None)


def test_it_is_what_the_warm_server_and_one_peak_leave() -> None:
    given = settings(memory_mb=768)
    budget = memory_budget.plan(given, 1024, 512, WARM)
    assert budget.limit == 568 * MEGABYTE - memory_budget.peak_bytes(given, 1024)
    assert "MEMORY_MB" in str(budget)


def test_a_setting_lowers_it_and_never_raises_it() -> None:
    wide, narrow = (memory_budget.plan(settings(memory_mb=size), 384, 256, WARM) for size in (100_000, 600))
    assert wide.granted == 8192 * MEGABYTE
    assert narrow.limit < wide.limit <= memory_budget.MOST_BYTES


def test_a_limit_on_address_space_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    free = memory_budget.plan(settings(), 384, 256, WARM).limit
    monkeypatch.setattr(machine, "address_space_limit", lambda: 1200 * MEGABYTE)
    assert memory_budget.plan(settings(), 384, 256, WARM).limit < free


def test_too_little_for_the_largest_request_is_refused_with_what_it_takes() -> None:
    with pytest.raises(StartError, match=r"need \d+ MB.*MAX_BODY_BYTES"):
        memory_budget.plan(settings(memory_mb=300), 1024, 512, WARM)
    memory_budget.plan(settings(memory_mb=400, max_body_bytes=1_000_000), 1024, 512, WARM)


def test_connections_share_a_quarter(caplog: pytest.LogCaptureFixture) -> None:
    assert memory_budget.fit_connections(10, 100 * MEGABYTE) == 10
    few = memory_budget.fit_connections(10_000, 20 * MEGABYTE)
    assert 1 <= few < 10_000
    assert "MAX_CONNECTIONS=10000 is lowered" in caplog.text

import resource
from dataclasses import dataclass

import pytest

from server.errors import StartError
from server.service import memory_budget
from server.service.memory_budget import PARSED_FACTOR, MemoryBudget, engine_bytes, plan
from server.settings import resolve
from server.system import machine
from server.system.machine import HeldMemory
from server.system.memory import CONNECTION_BYTES, LARGE_SHARE, MEGABYTE

WARM = HeldMemory(100 * MEGABYTE, 1000 * MEGABYTE)


@dataclass
class Model:
    dimension: int = 1024
    max_tokens: int = 512


def budget(limit_mb: int, monkeypatch: pytest.MonkeyPatch, connections: int = 100, **environ: str) -> MemoryBudget:
    monkeypatch.setattr(machine, "memory_limit", lambda: limit_mb * MEGABYTE)
    return plan(resolve(environ), Model(), WARM, connections)


def test_requests_get_what_the_warm_server_and_one_peak_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = budget(700, monkeypatch)
    assert planned.limit + planned.peak + planned.resident + 100 * CONNECTION_BYTES == 700 * MEGABYTE
    assert "of 700 MB (the container's limit or the machine's memory) the server holds 100 MB" in str(planned)
    assert budget(700, monkeypatch, CACHE_ENTRIES="1000").limit < planned.limit - 8_000_000


def test_a_large_machine_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = budget(100_000, monkeypatch)
    assert planned.limit + 100 * CONNECTION_BYTES == 1024 * MEGABYTE


@pytest.mark.parametrize(("set_mb", "granted"), [("600", 600), ("800", 700)])
def test_the_setting_may_lower_what_is_granted(monkeypatch: pytest.MonkeyPatch, set_mb: str, granted: int) -> None:
    planned = budget(700, monkeypatch, MEMORY_MB=set_mb)
    assert planned.granted == granted * MEGABYTE
    assert ("MEMORY_MB" in str(planned)) is (granted == 600)


def test_address_space_is_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1500 * MEGABYTE, 1500 * MEGABYTE))
    planned = budget(700, monkeypatch)
    assert planned.limit + planned.peak + 100 * CONNECTION_BYTES == 500 * MEGABYTE


def test_the_start_is_refused_where_the_largest_request_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StartError, match=r"200 MB of memory .* need (\d+) MB.*MAX_BODY_BYTES") as refused:
        budget(200, monkeypatch)
    needed = int(str(refused.value).split("need ")[1].split(" MB")[0])
    settings = resolve({})
    assert budget(needed, monkeypatch).limit * LARGE_SHARE >= PARSED_FACTOR * settings.max_body_bytes
    with pytest.raises(StartError):
        budget(needed - 1, monkeypatch)
    assert budget(220, monkeypatch, MAX_BODY_BYTES="1000000", MAX_TEXT_CHARS="10000").limit > 0


def test_connections_share_an_eighth(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    planned = budget(700, monkeypatch, connections=10_000)
    assert planned.connections < 10_000
    assert planned.limit > 6 * planned.connections * CONNECTION_BYTES
    assert f"MAX_CONNECTIONS=10000 is lowered to {planned.connections}" in caplog.text
    assert memory_budget.fit_connections(5, 1) == 1


@pytest.mark.parametrize("limit", [600, 896, 1024, 4096, 65536])
def test_more_streams_leave_room_for_requests(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """What the warm server may hold for more streams is never so much that the budget of requests cannot be planned."""
    monkeypatch.setattr(machine, "memory_limit", lambda: limit * MEGABYTE)
    settings = resolve({})
    may_hold = engine_bytes(settings, Model())
    assert may_hold <= 0.7 * limit * MEGABYTE
    assert plan(settings, Model(), HeldMemory(may_hold, may_hold), 10).limit > 0

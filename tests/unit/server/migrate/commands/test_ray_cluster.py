from types import SimpleNamespace
from typing import Any

import pytest

from server.migrate import optional
from server.migrate.commands import ray_job


@pytest.mark.parametrize(("given", "address"), [(None, "local"), ("", "local"), ("head:6379", "head:6379")])
def test_no_cluster_is_joined_that_the_environment_does_not_name(
    monkeypatch: pytest.MonkeyPatch, given: str | None, address: str
) -> None:
    """Ray by itself joins the cluster last started on the machine, or waits for one that is dead."""
    asked: list[str] = []
    context = SimpleNamespace(execution_options=SimpleNamespace(preserve_order=False))

    def init(where: str, **_: object) -> None:
        asked.append(where)

    def load(name: str, *_: Any) -> Any:
        if name == "ray.data":
            return SimpleNamespace(DataContext=SimpleNamespace(get_current=lambda: context))
        return SimpleNamespace(is_initialized=lambda: False, init=init, shutdown=lambda: None)

    monkeypatch.setattr(optional, "load", load)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if given is not None:
        monkeypatch.setenv("RAY_ADDRESS", given)
    with ray_job._cluster():
        pass
    assert asked == [address]

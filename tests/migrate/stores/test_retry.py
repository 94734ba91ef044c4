"""Retrying transient failures."""

import logging

import pytest

from server.migrate.errors import MigrateError
from server.migrate.stores import retry
from server.migrate.stores.retry import retried

pytest.importorskip("tenacity", reason="needs requirements/stores.txt")


class Flaky:
    """Fails a number of times, then succeeds."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.calls, self.failures, self.error = 0, failures, error

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"


def is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError)


def test_what_passes_is_tried_again_and_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    work = Flaky(retry.ATTEMPTS - 1, TimeoutError("no answer\nand more"))
    assert retried("store#docs", work, is_timeout) == "done"
    assert len(caplog.records) == work.calls - 1
    assert caplog.records[0].getMessage().startswith("store#docs: no answer; trying again in ")


def test_what_does_not_pass_in_time_ends_the_job() -> None:
    work = Flaky(1000, TimeoutError("no answer"))
    with pytest.raises(MigrateError, match=r"^store#docs: no answer$"):
        retried("store#docs", work, is_timeout)
    assert work.calls == retry.ATTEMPTS


@pytest.mark.parametrize(
    ("error", "said"), [(ValueError("wrong"), "^what: wrong$"), (MigrateError("as is"), "^as is$")]
)
def test_what_will_not_pass_is_not_tried_again(error: Exception, said: str) -> None:
    work = Flaky(1, error)
    with pytest.raises(MigrateError, match=said):
        retried("what", work, is_timeout)
    assert work.calls == 1

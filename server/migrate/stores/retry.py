"""Retries transient faults of stores with exponential backoff, and reports other faults in one line."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from server.migrate import optional
from server.migrate.errors import MigrateError
from server.secret import scrub

logger = logging.getLogger(__name__)

ATTEMPTS = 6
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
LONGEST_REASON = 300

ResultT = TypeVar("ResultT")
Passing = Callable[[BaseException], bool]


def never_transient(_error: BaseException) -> bool:
    """Treat no fault as transient, as for a store in a folder."""
    return False


def retried(what: str, work: Callable[[], ResultT], passing: Passing = never_transient) -> ResultT:
    """Call `work`, retrying with exponential backoff and jitter while `passing` says that the fault is transient.

    `work` must be idempotent, because its response may be lost after it has succeeded.

    Raises:
        MigrateError: the fault is permanent or the attempts are used up; the message begins with `what`.
    """
    tenacity = optional.load("tenacity")
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(passing),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_exponential_jitter(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
        before_sleep=lambda state: _log_retry(what, state),
        reraise=True,
    )
    try:
        result: ResultT = retrying(work)
    except MigrateError:
        raise
    # Clients pass on whatever their transports raise, even a bare Exception.
    except Exception as error:
        raise MigrateError(f"{what}: {reason(error)}") from error
    return result


def reason(error: BaseException) -> str:
    """Return the first line of an error's message, shortened and with known secrets masked."""
    lines = scrub(str(error)).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:LONGEST_REASON]


def _log_retry(what: str, state: Any) -> None:  # noqa: ANN401 - tenacity's own
    pause = state.next_action.sleep
    logger.warning("%s: %s; trying again in %.1f s", what, reason(state.outcome.exception()), pause)

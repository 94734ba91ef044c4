"""Doing again what failed for the moment, and saying in one line what failed for good."""

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


def never(_error: BaseException) -> bool:
    """No fault passes by itself, as with a store in a folder."""
    return False


def persist(what: str, work: Callable[[], ResultT], passing: Passing = never) -> ResultT:
    """Do `work`, again after a growing pause while it fails in ways that `passing` knows to pass.

    `work` must do no harm when it is done twice: its answer may be lost after it was done.

    Raises:
        MigrateError: it failed for good; the message begins with `what`.
    """
    tenacity = optional.load("tenacity")
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(passing),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_exponential_jitter(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
        before_sleep=lambda state: _tell(what, state),
        reraise=True,
    )
    try:
        result: ResultT = retrying(work)
    except MigrateError:
        raise
    # Clients raise whatever their transports do, down to a bare Exception; all of it ends the migration the same way.
    except Exception as error:
        raise MigrateError(f"{what}: {reason(error)}") from error
    return result


def reason(error: BaseException) -> str:
    """Say in one bounded line what went wrong, without any secret that the client put there."""
    lines = scrub(str(error)).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:LONGEST_REASON]


def _tell(what: str, state: Any) -> None:  # noqa: ANN401 - tenacity's own
    pause = state.next_action.sleep
    logger.warning("%s: %s; trying again in %.1f s", what, reason(state.outcome.exception()), pause)

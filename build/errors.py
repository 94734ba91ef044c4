"""Errors of the build stage; messages state the problem and the remedy."""

from collections.abc import Callable, Iterable
from typing import Any


class BuildError(Exception):
    """The build cannot go on, because of one or several problems; the models already in the folder are untouched."""

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems without duplicates, in the order in which they were found."""
        return tuple(dict.fromkeys(map(str, self.args)))

    def __str__(self) -> str:
        return "\n".join(self.problems)


def raise_if_any(problems: Iterable[str]) -> None:
    """Raise one error with all problems; empty strings are none.

    Raises:
        BuildError: there is at least one problem.
    """
    if actual := [problem for problem in problems if problem]:
        raise BuildError(*actual)


def check_all(*checks: Callable[[], Any]) -> list[Any]:
    """Run every check, also after one has failed, and return their results or report all problems at once.

    Raises:
        BuildError: at least one check failed; with the problems of all of them.
    """
    results: list[Any] = []
    problems: list[str] = []
    for check in checks:
        try:
            results.append(check())
        except BuildError as error:
            problems += error.problems
    raise_if_any(problems)
    return results


def reason(error: BaseException) -> str:
    """Return the type of an error and the first line of its message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}{': ' + lines[0][:300] if lines else ''}"

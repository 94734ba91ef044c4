from functools import partial

import pytest

from build.errors import BuildError, check_all


def test_every_check_runs_and_each_problem_is_reported_once() -> None:
    def fail(*problems: str) -> None:
        raise BuildError(*problems)

    with pytest.raises(BuildError) as raised:
        check_all(partial(fail, "a"), str, partial(fail, "b", "c"), partial(fail, "a", "d"))
    assert raised.value.problems == ("a", "b", "c", "d")
    assert str(raised.value) == "a\nb\nc\nd"

"""Runs the fuzz targets briefly on seeded mutations, without atheris."""

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS, Artifacts, Bodies, folder

SECONDS = min(float(os.environ.get("FUZZ_SECONDS", "2")), 10.0)
# Bound on the inputs, however fast the machine.
MOST = 10**6


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for a target's model."""
    with folder() as made:
        yield Path(made)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_inputs_are_taken_or_refused_in_order(
    place: Path, chance: random.Random, record_property: Callable[[str, object], None], name: str
) -> None:
    target = TARGETS[name](place)
    taken = count = 0
    end = time.monotonic() + SECONDS
    for data in itertools.islice(mutated(chance, target.examples()), MOST):
        try:
            taken += target(data)
        except Exception as error:
            raise AssertionError(f"input {data!r}") from error
        count += 1
        if time.monotonic() > end:
            break
    assert 0 < taken < count
    record_property("figures", f"{count:,} changed {name}, {taken:,} of them valid")


@pytest.mark.parametrize("name", TARGETS)
def test_every_example_is_read(place: Path, name: str) -> None:
    target = TARGETS[name](place)
    assert any(target(example) for example in target.examples())


def test_another_exception_comes_through(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("text")

    monkeypatch.setattr("tests.fuzz.targets.PARSERS", (broken,))
    with pytest.raises(KeyError):
        Bodies(place)(b"\0{}")
    monkeypatch.setattr("tests.fuzz.targets.open_artifact", broken)
    with pytest.raises(KeyError):
        Artifacts(place)(b"\0{}")

from typing import Any

import pytest

from bench.load.engine import BareEngine
from server.errors import StartError

BATCHES = [[[1, 5, 2], [1, 6, 7, 2]], [[1, 5, 2]]]


def test_the_engine_computes_its_batches_over_and_over(task: dict[str, Any]) -> None:
    engine = BareEngine()
    engine.load(task, BATCHES, streams=1)
    measured = engine.run(seconds=0.1, warm_s=0.0)
    assert measured["seconds"] >= 0.1
    assert measured["cpu_s"] > 0
    pairs, odd = divmod(measured["texts"], 3)
    assert odd in (0, 2)
    assert measured["tokens"] == 10 * pairs + (7 if odd else 0)


def test_streams_compute_what_no_other_has_taken(task: dict[str, Any]) -> None:
    engine = BareEngine()
    engine.load(task | {"threads": 2}, BATCHES, streams=2)
    measured = engine.run(seconds=0.1, warm_s=0.0)
    pairs, odd = divmod(measured["texts"], 3)
    assert measured["tokens"] == 10 * pairs + {0: 0, 2: 7}[odd]


def test_a_model_that_is_not_there_is_an_error(task: dict[str, Any]) -> None:
    with pytest.raises(StartError):
        BareEngine().load(task | {"model": "nobody"}, [], streams=1)

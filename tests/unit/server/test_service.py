import asyncio
import time

import orjson
import pytest

from server import machine
from server.artifact import Artifact
from server.device import choose
from server.errors import InferenceError, OverloadedError, StartError, TooLargeError, UnavailableError
from server.loaded import Capacity, Loaded, plan_capacity
from server.question import Question
from server.service import Service, warm
from server.settings import resolve
from server.tokenization import Tokenizer
from tests.unit.server import tiny
from tests.unit.server.fakes import FakeEngine


def load(artifact: Artifact, **environ: str) -> Loaded:
    return Loaded(
        settings=resolve(environ),
        artifact=artifact,
        choice=choose("cpu", None, [], False),
        threads=machine.Threads(1, "a test"),
        capacity=Capacity(32, 1000),
        tokenizer=Tokenizer(artifact.tokenizer_path, tiny.MAX_TOKENS),
    )


def test_auto_capacity_holds_the_models_longest_text() -> None:
    assert plan_capacity(resolve({}), 512, "cpu") == Capacity(1024, 64 * 1024)
    assert plan_capacity(resolve({}), 8192, "cpu").batch_tokens == 8192
    assert plan_capacity(resolve({"MAX_QUEUE_TOKENS": "7"}), 512, "cuda") == Capacity(16384, 7)


def test_a_batch_that_cannot_hold_the_longest_text_is_refused_by_name() -> None:
    with pytest.raises(StartError, match="MAX_BATCH_TOKENS=100: must be at least 512"):
        plan_capacity(resolve({"MAX_BATCH_TOKENS": "100"}), 512, "cpu")


def test_warming_runs_the_largest_batch_first() -> None:
    engine = FakeEngine(max_tokens=16)
    assert warm(engine, [1, 3, 2], 64) > 0
    assert [(len(batch), len(batch[0])) for batch in engine.batches] == [(4, 16), (1, 3)]


def soon() -> float:
    return time.monotonic() + 10


def test_a_result_tells_of_the_work_behind_it(artifact: Artifact) -> None:
    async def main() -> None:
        service = Service(load(artifact), FakeEngine(), 1000)
        result = await service.embed(Question(["a b", "a " * 20]), soon())
        assert result.vectors.shape == (2, 8)
        assert (result.tokens, result.characters, result.truncated) == (20, 43, 1)
        assert result.inference_s > 0
        await service.close()

    asyncio.run(main())


def test_more_tokens_than_a_request_may_hold_are_refused(artifact: Artifact) -> None:
    async def main() -> None:
        service = Service(load(artifact, MAX_REQUEST_TOKENS="19"), FakeEngine(), 1000)
        with pytest.raises(TooLargeError, match="20 tokens, the limit of a request is 19"):
            await service.embed(Question(["a b", "a " * 20]), soon())
        await service.close()

    asyncio.run(main())


def test_readiness_follows_draining(artifact: Artifact) -> None:
    async def main() -> None:
        service = Service(load(artifact), FakeEngine(), 1000)
        await service.check_ready()
        service.drain()
        with pytest.raises(UnavailableError, match="draining"):
            await service.check_ready()
        assert (await service.embed(Question(["a"]), soon())).tokens == 3
        await service.close()

    asyncio.run(main())


def test_readiness_is_lost_after_three_failures_and_comes_back(artifact: Artifact) -> None:
    async def main() -> None:
        engine = FakeEngine()
        service = Service(load(artifact), engine, 1000)
        engine.error = RuntimeError()
        for _ in range(3):
            await service.check_ready()
            with pytest.raises(InferenceError):
                await service.embed(Question(["a"]), soon())
        with pytest.raises(UnavailableError, match="inference fails"):
            await service.check_ready()
        engine.error = None
        await service.check_ready()
        await service.close()

    asyncio.run(main())


def test_a_full_queue_refuses_before_tokenizing(artifact: Artifact) -> None:
    async def main() -> None:
        engine = FakeEngine()
        loaded = load(artifact)
        object.__setattr__(loaded, "capacity", Capacity(32, 1))
        service = Service(loaded, engine, 1000)
        engine.gate.clear()
        first = asyncio.create_task(service.embed(Question(["a"]), soon()))
        await asyncio.to_thread(engine.entered.wait, 10)
        with pytest.raises(OverloadedError):
            await service.embed(Question(["a"]), soon())
        engine.gate.set()
        await first
        await service.close()

    asyncio.run(main())


def test_info_speaks_both_dialects(artifact: Artifact) -> None:
    async def main() -> None:
        service = Service(load(artifact), FakeEngine(), 1000)
        info = orjson.loads(orjson.dumps(service.info()))
        ours = ("model", "source", "precision", "device", "threads_reason", "dimension", "fidelity", "limits")
        teis = ("model_id", "model_sha", "model_dtype", "max_input_length", "max_client_batch_size", "model_type")
        assert set(ours + teis) <= info.keys()
        assert info["model_type"] == {"embedding": {"pooling": "mean"}}
        assert info["max_input_length"] == info["max_tokens"] == tiny.MAX_TOKENS
        await service.close()

    asyncio.run(main())

import asyncio
import time

import numpy as np
import orjson
import pytest

from server import cuda, machine
from server.artifact import Artifact
from server.device import choose
from server.errors import DeadlineError, OverloadedError, TooLargeError, UnavailableError
from server.loaded import Loaded
from server.question import Question
from server.service import INLINE_CHARACTERS, Service
from server.settings import resolve
from server.tokenization import Tokenizer
from tests.unit.server import tiny
from tests.unit.server.fakes import FakeEngine, unexpected, warmed


def load(artifact: Artifact, **environ: str) -> Loaded:
    return Loaded(
        settings=resolve(environ),
        artifact=artifact,
        choice=choose("cpu", None, [], cuda.Found("no GPU")),
        threads=machine.Threads(1, "a test"),
        tokenizer=Tokenizer(artifact.tokenizer_path, tiny.MAX_TOKENS),
    )


def serving(loaded: Loaded, engine: FakeEngine | None = None, queue_tokens: int = 1000) -> Service:
    made = engine or FakeEngine()
    return Service(loaded, made, warmed(made, queue_tokens=queue_tokens), unexpected)


def soon() -> float:
    return time.monotonic() + 10


def test_a_result_tells_of_the_work_behind_it(artifact: Artifact) -> None:
    async def main() -> None:
        service = serving(load(artifact))
        result = await service.embed(Question(["a b", "a " * 20]), soon())
        assert result.vectors.shape == (2, 8)
        assert (result.tokens, result.characters, result.truncated) == (20, 43, 1)
        assert result.inference_s > 0
        await service.close()

    asyncio.run(main())


def test_more_tokens_than_a_request_may_hold_are_refused(artifact: Artifact) -> None:
    async def main() -> None:
        service = serving(load(artifact, MAX_REQUEST_TOKENS="19"))
        with pytest.raises(TooLargeError, match="20 tokens, the limit of a request is 19"):
            await service.embed(Question(["a b", "a " * 20]), soon())
        await service.close()

    asyncio.run(main())


def test_readiness_follows_draining(artifact: Artifact) -> None:
    async def main() -> None:
        service = serving(load(artifact))
        await service.check_ready()
        service.drain()
        with pytest.raises(UnavailableError, match="draining"):
            await service.check_ready()
        assert (await service.embed(Question(["a"]), soon())).tokens == 3
        await service.close()

    asyncio.run(main())


def test_a_batch_that_hangs_is_no_longer_alive(artifact: Artifact) -> None:
    async def main() -> None:
        engine = FakeEngine()
        service = serving(load(artifact, REQUEST_TIMEOUT_S="0.05"), engine)
        service.check_alive()
        engine.gate.clear()
        with pytest.raises(DeadlineError):
            await service.embed(Question(["a"]), time.monotonic() + 0.1)
        with pytest.raises(UnavailableError, match="inference hangs"):
            service.check_alive()
        engine.gate.set()
        assert await service.close()

    asyncio.run(main())


def test_cached_texts_are_not_computed_again(artifact: Artifact) -> None:
    async def main() -> None:
        engine = FakeEngine()
        service = serving(load(artifact, CACHE_ENTRIES="10"), engine)
        first = await service.embed(Question(["a b", "c"]), soon())
        again = await service.embed(Question(["c", "the cat", "a b"]), soon())
        assert [len(batch) for batch in engine.batches] == [2, 1]
        np.testing.assert_array_equal(again.vectors[[2, 0]], first.vectors)
        await service.embed(Question(["c"]), soon())
        assert len(engine.batches) == 2
        await service.embed(Question(["c"], prompt="query: "), soon())
        assert len(engine.batches) == 3
        await service.close()

    asyncio.run(main())


def test_text_too_long_for_the_event_loop_gives_the_same_vector(artifact: Artifact) -> None:
    async def main() -> None:
        service = serving(load(artifact))
        long = "a " * INLINE_CHARACTERS
        one, many = await service.embed(Question(["a"]), soon()), await service.embed(Question(["a", long]), soon())
        np.testing.assert_array_equal(one.vectors[0], many.vectors[0])
        await service.close()

    asyncio.run(main())


def test_a_full_queue_refuses_before_tokenizing(artifact: Artifact) -> None:
    async def main() -> None:
        engine = FakeEngine()
        service = serving(load(artifact), engine, queue_tokens=1)
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
        service = serving(load(artifact))
        info = orjson.loads(orjson.dumps(service.info()))
        ours = ("model", "source", "precision", "device", "threads_reason", "dimension", "fidelity", "limits")
        teis = ("model_id", "model_sha", "model_dtype", "max_input_length", "max_client_batch_size", "model_type")
        assert set(ours + teis) <= info.keys()
        assert info["model_type"] == {"embedding": {"pooling": "mean"}}
        assert info["max_input_length"] == info["max_tokens"] == tiny.MAX_TOKENS
        await service.close()

    asyncio.run(main())

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar, NoReturn

import numpy as np
import orjson
import pytest

from server.batching.worker_threads import WorkerThreads
from server.errors import DeadlineError, OverloadedError, TooLargeError, UnavailableError
from server.inference import cuda
from server.inference.device import choose
from server.model.artifact import Artifact
from server.model.tokenization import Encoded, Tokenizer
from server.service.embed_request import EmbedRequest
from server.service.loaded_model import LoadedModel
from server.service.service import INLINE_CHARACTERS, Service
from server.serving_state import Phase
from server.settings import resolve
from server.system import machine
from server.system.memory import REQUESTS, Memory
from tests.unit.server import tiny
from tests.unit.server.fakes import FakeEngine, unexpected, warmed
from tests.unit.until import until


def load(artifact: Artifact, **environ: str) -> LoadedModel:
    return LoadedModel(
        settings=resolve(environ),
        artifact=artifact,
        choice=choose("cpu", None, [], cuda.CudaCheck("no GPU")),
        threads=machine.Threads(1, "a test"),
        tokenizer=Tokenizer(artifact.tokenizer_path, tiny.MAX_TOKENS),
    )


def starting(loaded: LoadedModel, engine: FakeEngine | None = None, queue_tokens: int = 1000) -> Service:
    made = engine or FakeEngine()
    return Service(loaded, made, warmed(made, queue_tokens=queue_tokens), WorkerThreads(1, unexpected), Memory(10**9))


def serving(loaded: LoadedModel, engine: FakeEngine | None = None, queue_tokens: int = 1000) -> Service:
    service = starting(loaded, engine, queue_tokens)
    service.state.begin()
    return service


def soon() -> float:
    return time.monotonic() + 10


async def test_a_result_tells_of_the_work_behind_it(artifact: Artifact) -> None:
    service = serving(load(artifact))
    result = await service.embed(EmbedRequest(["a b", "a " * 20]), soon())
    assert result.vectors.shape == (2, 8)
    assert (result.tokens, result.characters, result.truncated) == (20, 43, 1)
    assert result.inference_s > 0
    await service.close()


async def test_more_tokens_than_a_request_may_hold_are_refused(artifact: Artifact) -> None:
    service = serving(load(artifact, MAX_REQUEST_TOKENS="19"))
    with pytest.raises(TooLargeError, match="20 tokens, the limit of a request is 19"):
        await service.embed(EmbedRequest(["a b", "a " * 20]), soon())
    await service.close()


async def test_readiness_follows_draining(artifact: Artifact) -> None:
    service = serving(load(artifact))
    await service.check_ready()
    service.state.drain()
    with pytest.raises(UnavailableError, match="draining"):
        await service.check_ready()
    assert b"embedding_ready 0.0" in service.metrics.render()
    assert (await service.embed(EmbedRequest(["a"]), soon())).tokens == 3
    await service.close()


async def test_a_batch_that_hangs_is_no_longer_alive(artifact: Artifact) -> None:
    engine = FakeEngine()
    service = serving(load(artifact, REQUEST_TIMEOUT_S="0.05"), engine)
    service.check_alive()
    engine.gate.clear()
    with pytest.raises(DeadlineError):
        await service.embed(EmbedRequest(["a"]), time.monotonic() + 0.1)
    with pytest.raises(UnavailableError, match="inference hangs"):
        service.check_alive()
    assert b"embedding_ready 0.0" in service.metrics.render()
    assert service.state.phase is Phase.DEGRADED
    engine.gate.set()
    await until(lambda: b"embedding_ready 1.0" in service.metrics.render())
    service.check_alive()
    assert await service.close()


async def test_cached_texts_are_not_computed_again(artifact: Artifact) -> None:
    engine = FakeEngine()
    service = serving(load(artifact, CACHE_ENTRIES="10"), engine)
    first = await service.embed(EmbedRequest(["a b", "c"]), soon())
    again = await service.embed(EmbedRequest(["c", "the cat", "a b"]), soon())
    assert [len(batch) for batch in engine.batches] == [2, 1]
    np.testing.assert_array_equal(again.vectors[[2, 0]], first.vectors)
    await service.embed(EmbedRequest(["c"]), soon())
    assert len(engine.batches) == 2
    await service.embed(EmbedRequest(["c"], prompt="query: "), soon())
    assert len(engine.batches) == 3
    await service.close()


async def test_text_too_long_for_the_event_loop_gives_the_same_vector(artifact: Artifact) -> None:
    service = serving(load(artifact))
    long = "a " * INLINE_CHARACTERS
    one, many = (
        await service.embed(EmbedRequest(["a"]), soon()),
        await service.embed(EmbedRequest(["a", long]), soon()),
    )
    np.testing.assert_array_equal(one.vectors[0], many.vectors[0])
    await service.close()


async def test_a_full_queue_refuses_before_tokenizing(artifact: Artifact) -> None:
    engine = FakeEngine()
    service = serving(load(artifact), engine, queue_tokens=1)
    engine.gate.clear()
    first = asyncio.create_task(service.embed(EmbedRequest(["a"]), soon()))
    await asyncio.to_thread(engine.entered.wait, 10)
    with pytest.raises(OverloadedError):
        await service.embed(EmbedRequest(["a"]), soon())
    engine.gate.set()
    await first
    await service.close()


async def test_a_short_text_finds_no_room_where_a_long_one_finds_none(artifact: Artifact) -> None:
    engine = FakeEngine()
    service = serving(load(artifact), engine, queue_tokens=tiny.MAX_TOKENS * 3 - 1)
    engine.gate.clear()
    held = [asyncio.create_task(service.embed(EmbedRequest(["a " * 20]), soon())) for _ in range(2)]
    await asyncio.to_thread(engine.entered.wait, 10)
    with pytest.raises(OverloadedError):
        service.check_room()
    with pytest.raises(OverloadedError):
        await service.embed(EmbedRequest(["a"]), soon())
    engine.gate.set()
    await asyncio.gather(*held)
    service.check_room()
    await service.close()


async def test_texts_that_are_tokenized_together_take_no_more_room_than_they_need(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.service.service.INLINE_CHARACTERS", 1)

    # Each text has 10 tokens; if each reserved the model's maximum, 16, the last two would find no room.
    service = serving(load(artifact), FakeEngine(), queue_tokens=6 * 10 + tiny.MAX_TOKENS)
    results = await asyncio.gather(*(service.embed(EmbedRequest(["a " * 8]), soon()) for _ in range(6)))
    assert [result.tokens for result in results] == [10] * 6
    await service.close()


@pytest.mark.parametrize(
    ("question", "inline"),
    [
        (EmbedRequest(["a"], prompt="the query: "), True),
        (EmbedRequest(["a"] * 500), False),
        (EmbedRequest(["a"] * 20, prompt="the query: " * 10), False),
    ],
    ids=["one short text", "many of one letter", "few behind a prompt"],
)
async def test_the_event_loop_tokenizes_only_what_takes_no_time(
    artifact: Artifact, question: EmbedRequest, inline: bool
) -> None:
    class Noting(Tokenizer):
        threads: ClassVar[set[int]] = set()

        def encode_each(self, *given: Any, **named: Any) -> Iterator[Encoded]:
            Noting.threads.add(threading.get_ident())
            yield from super().encode_each(*given, **named)

    service = serving(load(artifact))
    service._tokenizer = Noting(artifact.tokenizer_path, tiny.MAX_TOKENS)
    await service.embed(question, soon())
    assert (Noting.threads == {threading.get_ident()}) == inline
    await service.close()


class FailingTokenizer(Tokenizer):
    def encode_each(self, *_: object, **__: object) -> NoReturn:
        raise AssertionError("tokenized in vain")


@pytest.mark.parametrize("length", [200, 2 * INLINE_CHARACTERS], ids=["inline", "in a thread"])
async def test_what_will_not_fit_into_the_queue_is_refused_before_tokenizing(artifact: Artifact, length: int) -> None:
    engine = FakeEngine()
    loaded = load(artifact)
    service = serving(loaded, engine, queue_tokens=100)
    engine.gate.clear()
    held = [asyncio.create_task(service.embed(EmbedRequest(["a " * 20] * count), soon())) for count in (5, 1)]
    await asyncio.to_thread(engine.entered.wait, 10)
    service.check_room()
    service._tokenizer = FailingTokenizer(artifact.tokenizer_path, tiny.MAX_TOKENS)
    with pytest.raises(OverloadedError):
        await service.embed(EmbedRequest(["a" * length] * 4), soon())
    engine.gate.set()
    await asyncio.gather(*held)
    await service.close()


async def test_a_deadline_holds_while_texts_are_tokenized(artifact: Artifact) -> None:
    class Slow(Tokenizer):
        def encode_each(self, *given: Any, **named: Any) -> Iterator[Encoded]:
            gate.wait(10)
            yield from super().encode_each(*given, **named)

    gate = threading.Event()
    service = serving(load(artifact))
    service._tokenizer = Slow(artifact.tokenizer_path, tiny.MAX_TOKENS)
    long = EmbedRequest(["a " * INLINE_CHARACTERS])
    with pytest.raises(DeadlineError, match="not tokenized in time"):
        await service.embed(long, time.monotonic() + 0.05)
    assert service._tokenizing.held > 0  # the thread is still tokenizing
    gate.set()
    await until(lambda: not service._tokenizing.held)
    assert (await service.embed(long, soon())).tokens == tiny.MAX_TOKENS
    await service.close()


async def test_info_speaks_both_dialects(artifact: Artifact) -> None:
    service = serving(load(artifact))
    info = orjson.loads(orjson.dumps(service.info()))
    ours = ("model", "source", "precision", "device", "threads_reason", "dimension", "fidelity", "limits")
    teis = ("model_id", "model_sha", "model_dtype", "max_input_length", "max_client_batch_size", "model_type")
    assert set(ours + teis) <= info.keys()
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    assert info["max_input_length"] == info["max_tokens"] == tiny.MAX_TOKENS
    await service.close()


async def test_a_request_holds_memory_until_it_is_answered_and_its_texts_only_until_they_are_tokens(
    artifact: Artifact,
) -> None:
    engine = FakeEngine()
    engine.gate.clear()
    service = serving(load(artifact), engine)
    question = EmbedRequest(["a b " * 20_000, "c"])
    with service.memory.claim(REQUESTS) as claim:
        claim.hold(service.size_of(question.inputs))
        assert claim.bytes > 80_000
        embedding = asyncio.create_task(service.embed(question, soon(), claim=claim))
        await asyncio.to_thread(engine.entered.wait, 10)
        assert question.inputs == []
        assert 0 < claim.bytes < 3000
        engine.gate.set()
        result = await embedding
        assert (result.characters, result.truncated) == (80_001, 1)
    assert service.memory.total == 0
    await service.close()


async def test_texts_of_a_caller_who_has_gone_are_tokenized_no_further(artifact: Artifact) -> None:
    class Slow(Tokenizer):
        seen = 0

        def encode_each(self, *given: Any, **named: Any) -> Iterator[Encoded]:
            for encoded in super().encode_each(*given, **named):
                Slow.seen += 1
                entered.set()
                gate.wait(10)
                yield encoded

    entered, gate = threading.Event(), threading.Event()
    service = serving(load(artifact))
    service._tokenizer = Slow(artifact.tokenizer_path, tiny.MAX_TOKENS)
    embedding = asyncio.create_task(service.embed(EmbedRequest(["a " * INLINE_CHARACTERS] * 10), soon()))
    await asyncio.to_thread(entered.wait, 10)
    embedding.cancel()
    await asyncio.wait([embedding])
    gate.set()
    await until(lambda: not service._tokenizing.held)
    assert Slow.seen == 1
    await service.close()

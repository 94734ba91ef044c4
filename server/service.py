"""The running service: one model, its tokenizer and its batcher, and the way of a request through them."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from server import __version__, machine, wire
from server.allowance import Allowance
from server.artifact import Artifact
from server.batcher import Batcher, Embedded
from server.device import PROVIDERS, Choice, DeviceName
from server.engine import Engine
from server.errors import OverloadedError, ServiceError, StartError, UnavailableError
from server.machine import Threads
from server.settings import Settings
from server.tokenization import Encoded, Tokenizer

# Small batches already reach full speed on CPU, and keep everyone's wait short; a GPU needs more at once.
AUTO_BATCH_TOKENS: dict[DeviceName, int] = {"cpu": 1024, "cuda": 16384}
AUTO_QUEUE_BATCHES = 64
# Text that may be in tokenization, in characters for each token that the queue may hold.
CHARACTERS_PER_TOKEN = 4
TOKENIZER_THREADS = 2
FAILURES_UNTIL_NOT_READY = 3
CLOSE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """Tokens of one batch, padding included, and tokens that may be queued."""

    batch_tokens: int
    queue_tokens: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything decided and opened at start."""

    settings: Settings
    artifact: Artifact
    choice: Choice
    threads: Threads
    capacity: Capacity
    tokenizer: Tokenizer


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer, and what its headers tell of the work behind it."""

    body: bytes
    headers: Mapping[str, str]


def plan_capacity(settings: Settings, max_tokens: int, device: DeviceName) -> Capacity:
    """Resolve MAX_BATCH_TOKENS and MAX_QUEUE_TOKENS for a model that reads `max_tokens`.

    Raises:
        StartError: a batch could not hold the model's longest text.
    """
    batch = settings.max_batch_tokens or max(AUTO_BATCH_TOKENS[device], max_tokens)
    if batch < max_tokens:
        raise StartError(f"MAX_BATCH_TOKENS={batch}: must be at least {max_tokens}, the model's longest text, or auto")
    return Capacity(batch, settings.max_queue_tokens or AUTO_QUEUE_BATCHES * batch)


def warm(engine: Engine, ids: list[int], batch_tokens: int) -> float:
    """Run the largest batch first, so that memory peaks before the first request; return tokens a second."""
    longest = (ids * engine.max_tokens)[: engine.max_tokens]
    full = [longest] * (batch_tokens // engine.max_tokens)
    started = time.perf_counter()
    engine.embed(full)
    seconds = time.perf_counter() - started
    engine.embed([ids])
    return len(full) * len(longest) / seconds


class Service:
    """Answers questions. Belongs to one event loop."""

    def __init__(self, loaded: Loaded, engine: Engine, tokens_per_s: float) -> None:
        self.settings = loaded.settings
        self._loaded = loaded
        self._manifest = loaded.artifact.manifest
        capacity = loaded.capacity
        self._batcher = Batcher(engine, capacity.batch_tokens, capacity.queue_tokens, tokens_per_s)
        self._tokenizer = loaded.tokenizer
        self._tokenizer_pool = ThreadPoolExecutor(TOKENIZER_THREADS, thread_name_prefix="tokenization")
        self._tokenizing = Allowance(CHARACTERS_PER_TOKEN * capacity.queue_tokens)
        self._draining = False

    async def embed(self, raw: bytes, started: float) -> Answer:
        """Answer the body of an `/embed` request that arrived at `started`, in time.monotonic() seconds.

        Raises:
            ServiceError: the request cannot be answered.
        """
        question = wire.parse(raw, self.settings, self._manifest)
        begun = time.monotonic()
        encoded = await self._encode(question)
        tokenization_s = time.monotonic() - begun
        sequences = [text.ids for text in encoded]
        embedded = await self._batcher.embed(sequences, started + self.settings.request_timeout_s)
        body = wire.render(question, embedded.vectors)
        work = _work_headers(question, encoded)
        times = _time_headers(started, tokenization_s, embedded)
        return Answer(body, work | times)

    async def check_ready(self) -> None:
        """Return if requests can be answered now.

        Once inference has failed several times in a row, a short text is tried, so that recovery shows.

        Raises:
            UnavailableError: the server is draining, or inference fails.
        """
        if self._draining:
            raise UnavailableError("draining: the server is shutting down")
        if self._batcher.failures_in_a_row < FAILURES_UNTIL_NOT_READY:
            return
        try:
            await self._batcher.embed([self._probe()], time.monotonic() + self.settings.request_timeout_s)
        except ServiceError as error:
            raise UnavailableError(f"inference fails: {error}") from None

    def drain(self) -> None:
        """Report not ready from now on; requests are still answered."""
        self._draining = True

    async def close(self) -> None:
        """Refuse new requests and finish the admitted ones."""
        self.drain()
        await self._batcher.close(CLOSE_TIMEOUT_S)
        self._tokenizer_pool.shutdown(wait=False)

    def info(self) -> dict[str, object]:
        """Describe model, machine and limits, under this service's names and Text Embeddings Inference's."""
        return describe(self._loaded) | {"resident_bytes": machine.resident_bytes()}

    async def _encode(self, question: wire.Question) -> list[Encoded]:
        characters = sum(map(len, question.texts))
        self._check_tokenizer_room(characters)
        share = self._tokenizing.take(characters)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._tokenizer_pool, self._tokenizer.encode, question.texts, question.prompt, question.truncate
            )
        finally:
            self._tokenizing.release(share)

    def _check_tokenizer_room(self, characters: int) -> None:
        self._batcher.check_room()
        if not self._tokenizing.has_room(characters):
            held, limit = self._tokenizing.held, self._tokenizing.limit
            raise OverloadedError(
                f"the tokenizer is busy: {held} of {limit} characters are taken; try again later",
                self._batcher.retry_after_s(),
            )

    def _probe(self) -> list[int]:
        return self._tokenizer.encode(["ready"])[0].ids


def describe(loaded: Loaded) -> dict[str, object]:
    """Return what `/info` says of what was decided at start."""
    manifest, variant, choice = loaded.artifact.manifest, loaded.artifact.variant, loaded.choice
    settings = loaded.settings
    source = manifest.source
    return {
        "model": manifest.name,
        "source": {"kind": source.kind, "id": source.id, "revision": source.revision, "licence": source.licence},
        "architecture": manifest.architecture,
        "dimension": manifest.dimension,
        "max_tokens": manifest.max_tokens,
        "pooling": manifest.pooling,
        "prompts": manifest.prompts,
        "precision": variant.precision,
        "notes": manifest.notes,
        "precision_reason": choice.precision_reason,
        "fidelity": msgspec.to_builtins(variant.fidelity),
        "device": choice.device,
        "device_reason": choice.device_reason,
        "provider": PROVIDERS[choice.device],
        "cpu_flags": machine.cpu_flags(),
        "threads": loaded.threads.count,
        "threads_reason": loaded.threads.reason,
        "limits": {
            "batch_tokens": loaded.capacity.batch_tokens,
            "queue_tokens": loaded.capacity.queue_tokens,
            "texts": settings.max_client_batch_size,
            "text_characters": settings.max_text_chars,
            "body_bytes": settings.max_body_bytes,
            "request_seconds": settings.request_timeout_s,
        },
        **_tei_info(loaded),
    }


def _tei_info(loaded: Loaded) -> dict[str, object]:
    manifest = loaded.artifact.manifest
    dtypes = {"fp32": "float32", "fp16": "float16"}
    return {
        "model_id": manifest.source.id,
        "model_sha": manifest.source.revision,
        "model_dtype": dtypes.get(loaded.artifact.variant.precision, "int8"),
        "model_type": {"embedding": {"pooling": manifest.pooling}},
        "max_input_length": manifest.max_tokens,
        "max_batch_tokens": loaded.capacity.batch_tokens,
        "max_client_batch_size": loaded.settings.max_client_batch_size,
        "auto_truncate": loaded.settings.auto_truncate,
        "version": __version__,
    }


def _work_headers(question: wire.Question, encoded: list[Encoded]) -> dict[str, str]:
    return {
        "x-compute-tokens": str(sum(len(text.ids) for text in encoded)),
        "x-compute-characters": str(sum(map(len, question.texts))),
        "x-truncated-inputs": str(sum(text.truncated for text in encoded)),
    }


def _time_headers(started: float, tokenization_s: float, embedded: Embedded) -> dict[str, str]:
    seconds = {
        "x-total-time": time.monotonic() - started,
        "x-tokenization-time": tokenization_s,
        "x-queue-time": embedded.queue_s,
        "x-inference-time": embedded.inference_s,
    }
    return {name: str(round(1000 * value)) for name, value in seconds.items()}

"""The embedding service: runs requests through the tokenizer, the vector cache and the batcher of one model."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Event
from typing import TypeVar

import numpy as np

from server.batching.batcher import Batcher
from server.batching.calibration import Warmed
from server.batching.job import Embedded
from server.batching.permit import Permit
from server.batching.worker_threads import WorkerThreads
from server.budget import Budget
from server.errors import DeadlineError, OverloadedError, TooLargeError, UnavailableError
from server.inference.engine import Engine, Ids
from server.model import space
from server.model.tokenization import SLICE_CHARACTERS, WORKERS, Inputs, Pieces
from server.service.embed_request import Asker, EmbedRequest
from server.service.info import describe
from server.service.known_answer import KnownAnswer
from server.service.loaded_model import LoadedModel
from server.service.memory_budget import PARSED_FACTOR
from server.service.output import extra_bytes
from server.service.result import Result
from server.service.vector_cache import VectorCache
from server.serving_state import Phase, ServingState
from server.system import machine
from server.system.memory import Claim, Memory, size_of
from server.system.suspension import Suspensions
from server.telemetry.metrics import Metrics

# A low estimate for English text. Used to estimate tokens before tokenization, and to limit the text being tokenized
# in proportion to the queue's tokens.
CHARACTERS_PER_TOKEN = 4
# Texts up to this length together are tokenized on the event loop: about 0.3 ms, less than a round trip to a thread.
# Each takes as long as that many characters more, besides the prompt before it.
INLINE_CHARACTERS = 1024
CHARACTERS_PER_TEXT = 16
# Memory overhead of a queued text, beside two copies of its ids and its vector.
TEXT_BYTES = 600
# Memory of one token in the response of /tokenize; a text has at most this many more tokens than characters.
TOKEN_BYTES = 96
SPECIAL_TOKENS = 2
NOT_READY = {
    Phase.STARTING: "starting: the server does not serve yet",
    Phase.DRAINING: "draining: the server is shutting down",
    Phase.STOPPED: "draining: the server is shutting down",
}
# By the time of closing every request has ended; this only bounds the wait for a hanging batch.
CLOSE_TIMEOUT_S = 3.0

T = TypeVar("T")


class Service:
    """Serves embedding requests for one model. Use from one event loop."""

    def __init__(
        self, loaded: LoadedModel, engine: Engine, warm: Warmed, threads: WorkerThreads, memory: Memory
    ) -> None:
        """Serve with a warm `engine` on `threads`, one per stream; requests account for their memory in `memory`."""
        self.settings = loaded.settings
        self.loaded = loaded
        self.space = space.parse(loaded.artifact.space)
        self.asker = Asker(loaded.settings, loaded.artifact.manifest)
        self.metrics = Metrics()
        self.memory = memory
        self.state = ServingState()
        self._described = describe(loaded, warm.pace)
        self._batcher = Batcher(engine, threads, warm.pace, self.metrics, self.state)
        self._canary = KnownAnswer(self._batcher, warm.ids, warm.vector)
        self._cache = VectorCache(loaded.settings.cache_entries, self.metrics)
        self._tokenizer = loaded.tokenizer
        self._tokenizer_pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="tokenization")
        self._tokenizing = Budget(CHARACTERS_PER_TOKEN * warm.pace.queue_tokens)
        self.stops = Suspensions()
        self._watch(loaded)

    async def embed(
        self, question: EmbedRequest, deadline: float, since: float | None = None, claim: Claim | None = None
    ) -> Result:
        """Compute the vectors of `question` before `deadline`, in time.monotonic() seconds.

        `since` is when its caller began to wait, if the caller set no timeout of its own. Clears the question's inputs
        after tokenization, so that a queued request holds only its token ids, which `claim` accounts for.

        Raises:
            ServiceError: they cannot be computed.
        """
        begun = time.monotonic()
        with self._batcher.admit(self._expect_lengths(question), deadline, since, self._tokenizer.max_tokens) as permit:
            truncated, sequences = await self._encode(question, deadline)
            tokenization_s = time.monotonic() - begun
            self.metrics.tokenize_seconds.observe(tokenization_s)
            tokens = sum(map(len, sequences))
            self._check_tokens(tokens)
            characters = question.characters
            question.inputs.clear()
            if claim:
                vector = (4 + extra_bytes(question.outputs)) * self._batcher.dimension
                claim.hold(question.kept_bytes + sum(TEXT_BYTES + 2 * ids.nbytes + vector for ids in sequences))
            embedded = await self._compute(sequences, permit)
        result = Result(
            vectors=embedded.vectors,
            characters=characters,
            tokens=tokens,
            truncated=truncated,
            tokenization_s=tokenization_s,
            queue_s=embedded.queue_s,
            inference_s=embedded.inference_s,
            space=str(self.space),
        )
        self._count(result)
        return result

    async def tokenize(
        self,
        texts: list[str],
        special: bool,
        deadline: float,
        write: Callable[[Iterator[Pieces]], T],
        claim: Claim | None = None,
    ) -> T:
        """Tokenize `texts` one by one in a thread, and return the result of `write` on the iterator of their pieces.

        `special` includes special tokens; `deadline` is in time.monotonic() seconds. `claim` accounts for the memory of
        texts and response.

        Raises:
            ServiceError: the tokenizer is busy or too slow, or the texts exceed MAX_REQUEST_TOKENS.
        """
        self._batcher.check_room()
        characters = sum(map(len, texts))
        if claim:
            tokens = min(characters + SPECIAL_TOKENS * len(texts), self.settings.max_request_tokens)
            claim.hold(self.size_of(texts) + TOKEN_BYTES * tokens)
        return await self._in_tokenizer(
            characters, deadline, lambda given_up: write(self._split(texts, special, given_up))
        )

    def size_of(self, inputs: Inputs) -> int:
        """Return an upper bound of the memory of parsed inputs, in bytes; they come from a single body."""
        return min(size_of(inputs), PARSED_FACTOR * self.settings.max_body_bytes)

    def check_room(self, deadline: float = math.inf) -> None:
        """Check, before a request's body is read, that the queue has room for a text of the maximum length.

        If only the request's own length counted, short texts would keep filling the queue and long ones would starve.
        Also checks that at least a short text would be computed before `deadline`.

        Raises:
            OverloadedError: the queue is too full, or requests ahead take too long.
            UnavailableError: the service is closing.
            DeadlineError: the deadline has passed.
        """
        self._batcher.check_room(self._tokenizer.max_tokens)
        self._batcher.check_time(deadline)

    def note_patience(self, since: float, *, left: bool) -> None:
        """Record that a caller without a timeout of its own hung up now (`left`), or was answered."""
        self._batcher.note_patience(time.monotonic() - since, left=left)

    async def check_ready(self) -> None:
        """Check that requests can be answered now.

        Raises:
            UnavailableError: the server starts or stops, inference fails or hangs, or its vectors have changed.
        """
        if refusal := NOT_READY.get(self._refresh_phase()):
            raise UnavailableError(refusal)
        self.check_alive()
        await self._canary.check()

    def check_alive(self) -> None:
        """Check that the process does not need a restart.

        Raises:
            UnavailableError: a batch has been running for longer than REQUEST_TIMEOUT_S.
        """
        if self._hangs:
            limit = self.settings.request_timeout_s
            raise UnavailableError(f"inference hangs: a batch has been running for more than {limit:g} s")

    async def close(self) -> bool:
        """Refuse new requests and finish the admitted ones; return whether all ended in time."""
        ended = await self._batcher.close(CLOSE_TIMEOUT_S)
        self._tokenizer_pool.shutdown(wait=False)
        return ended

    def info(self) -> dict[str, object]:
        """Return the body of `/info`."""
        held = {f"{kind.value}_bytes": held for kind, held in self.memory.held.items()}
        memory = {"limit_bytes": self.memory.limit, **held}
        return self._described | {"resident_bytes": machine.resident_bytes(), "memory": memory}

    @property
    def _hangs(self) -> bool:
        running_s, limit = self._batcher.running_s, self.settings.request_timeout_s
        return running_s > limit and running_s - self.stops.within(running_s) > limit

    def _refresh_phase(self) -> Phase:
        """Return the phase as inference is now."""
        if self._hangs or not self._canary.healthy:
            self.state.fail()
        else:
            self.state.recover()
        return self.state.phase

    def _expect_lengths(self, question: EmbedRequest) -> list[int]:
        """Estimate the tokens of each text from its characters, so that refused requests are not tokenized."""
        around = len(self._tokenizer.prefix) + len(self._tokenizer.suffix)
        prompt, most = len(question.prompt), self._tokenizer.limit(question.max_tokens)
        return [
            min(most, around + (prompt + len(text)) // CHARACTERS_PER_TOKEN)
            if isinstance(text, str)
            else min(most, len(text))
            for text in question.inputs
        ]

    async def _encode(self, question: EmbedRequest, deadline: float) -> tuple[int, list[Ids]]:
        prompts = len(question.prompt) * len(question.inputs)
        around = prompts + CHARACTERS_PER_TEXT * len(question.inputs)
        if sum(map(len, question.inputs)) + around <= INLINE_CHARACTERS:
            return self._tokenize(question, Event())
        return await self._in_tokenizer(question.characters + prompts, deadline, partial(self._tokenize, question))

    async def _in_tokenizer(self, characters: int, deadline: float, work: Callable[[Event], T]) -> T:
        self._check_tokenizer_room(characters)
        given_up = Event()
        running = self._tokenizer_pool.submit(_trimmed(work) if characters > SLICE_CHARACTERS else work, given_up)
        # Released only when the thread has finished, even if the caller has hung up, since it cannot be interrupted.
        release = partial(self._tokenizing.release, self._tokenizing.take(characters))
        running.add_done_callback(partial(_call_on, asyncio.get_running_loop(), release))
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await asyncio.wrap_future(running)
        except TimeoutError:
            raise _too_slow() from None
        finally:
            given_up.set()

    def _split(self, texts: list[str], special: bool, given_up: Event) -> Iterator[Pieces]:
        tokens = 0
        for text in texts:
            if given_up.is_set():
                raise _too_slow()
            with self._tokenizer.alone():
                pieces = self._tokenizer.split(text, special)
                tokens += len(pieces.ids)
                self._check_tokens(tokens)
                yield pieces
                del pieces

    def _tokenize(self, question: EmbedRequest, given_up: Event) -> tuple[int, list[Ids]]:
        """Return the number of truncated texts and the ids of each.

        Each text's ids are converted to an array at once, since a list takes four times the memory.
        """
        sequences: list[Ids] = []
        truncated = 0
        limit = question.max_tokens
        for encoded in self._tokenizer.encode_each(question.inputs, question.prompt, question.truncate, limit):
            truncated += encoded.truncated
            sequences.append(np.array(encoded.ids, np.int64))
            if given_up.is_set():
                raise _too_slow()
        return truncated, sequences

    async def _compute(self, sequences: list[Ids], permit: Permit) -> Embedded:
        """Take cached vectors from the cache, and compute the rest."""
        cached = self._cache.find(sequences)
        missing = [position for position in range(len(sequences)) if position not in cached]
        if not cached:
            embedded = await self._batcher.compute(sequences, permit)
            self._cache.keep(sequences, embedded.vectors)
            return embedded
        vectors = np.empty((len(sequences), self._batcher.dimension), np.float32)
        for position, vector in cached.items():
            vectors[position] = vector
        if not missing:
            return Embedded(vectors, 0.0, 0.0)
        rest = [sequences[position] for position in missing]
        embedded = await self._batcher.compute(rest, permit)
        self._cache.keep(rest, embedded.vectors)
        vectors[missing] = embedded.vectors
        return Embedded(vectors, embedded.queue_s, embedded.inference_s)

    def _check_tokenizer_room(self, characters: int) -> None:
        if not self._tokenizing.has_room(characters):
            held, limit = self._tokenizing.held, self._tokenizing.limit
            raise OverloadedError(
                f"the tokenizer is busy: {held} of {limit} characters are taken; try again later",
                self._batcher.retry_after_s(),
            )

    def _check_tokens(self, tokens: int) -> None:
        limit = self.settings.max_request_tokens
        if tokens > limit:
            raise TooLargeError(f"{tokens} tokens, the limit of a request is {limit} (MAX_REQUEST_TOKENS)")

    def _watch(self, loaded: LoadedModel) -> None:
        manifest, choice = loaded.artifact.manifest, loaded.choice
        served = {"model": manifest.name, "precision": choice.precision, "device": choice.device}
        self.metrics.model.info(served | {"space": str(self.space)})
        batcher, watch = self._batcher, self.metrics.watch
        watch("embedding_queue_tokens", "Tokens admitted and not yet answered.", lambda: batcher.queued_tokens)
        watch("embedding_queue_requests", "Requests admitted and not yet answered.", lambda: batcher.queued_requests)
        watch("embedding_queue_seconds", "The time they should take.", lambda: batcher.queued_s)
        watch("embedding_patience_seconds", "How long callers wait who do not say so, learned.", self._patience_s)
        self.metrics.watch_memory(self.memory)
        watch("embedding_ready", "1 while requests can be answered.", lambda: self._refresh_phase() is Phase.READY)

    def _patience_s(self) -> float:
        return min(self.settings.request_timeout_s, self._batcher.patience_s)

    def _count(self, result: Result) -> None:
        metrics = self.metrics
        metrics.queue_seconds.observe(result.queue_s)
        metrics.inference_seconds.observe(result.inference_s)
        metrics.inputs.inc(len(result.vectors))
        metrics.input_tokens.inc(result.tokens)
        metrics.truncated.inc(result.truncated)


def _trimmed(work: Callable[[Event], T]) -> Callable[[Event], T]:
    """Wrap `work` to return freed heap memory to the system afterwards, which malloc would keep for this thread."""

    def do(given_up: Event) -> T:
        try:
            return work(given_up)
        finally:
            machine.trim_heap()

    return do


def _call_on(loop: asyncio.AbstractEventLoop, call: Callable[[], None], _done: Future[T]) -> None:
    with suppress(RuntimeError):  # the loop is closed, so the count no longer matters
        loop.call_soon_threadsafe(call)


def _too_slow() -> DeadlineError:
    return DeadlineError("the texts were not tokenized in time (REQUEST_TIMEOUT_S); send fewer or try later")

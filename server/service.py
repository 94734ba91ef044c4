"""The running service: one model, its tokenizer and its batcher, and the way of a question through them."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from server import machine
from server.allowance import Allowance
from server.batcher import Batcher
from server.describe import describe
from server.engine import Engine, Vectors
from server.errors import OverloadedError, ServiceError, TooLargeError, UnavailableError
from server.loaded import Loaded
from server.metrics import Metrics
from server.question import Asker, Question
from server.tokenization import Encoded

# Text that may be in tokenization, in characters for each token that the queue may hold.
CHARACTERS_PER_TOKEN = 4
TOKENIZER_THREADS = 2
FAILURES_UNTIL_NOT_READY = 3
CLOSE_TIMEOUT_S = 10.0


def warm(engine: Engine, ids: list[int], batch_tokens: int) -> float:
    """Run the largest batch first, so that memory peaks before the first request; return tokens a second."""
    longest = (ids * engine.max_tokens)[: engine.max_tokens]
    full = [longest] * (batch_tokens // engine.max_tokens)
    started = time.perf_counter()
    engine.embed(full)
    seconds = time.perf_counter() - started
    engine.embed([ids])
    return len(full) * len(longest) / seconds


@dataclass(frozen=True, slots=True)
class Result:
    """A question's vectors, whole ones, [inputs, dimension], and the work behind them; times in seconds."""

    vectors: Vectors
    characters: int
    tokens: int
    truncated: int
    tokenization_s: float
    queue_s: float
    inference_s: float


class Service:
    """Answers questions. Belongs to one event loop."""

    def __init__(self, loaded: Loaded, engine: Engine, tokens_per_s: float) -> None:
        self.settings = loaded.settings
        self.loaded = loaded
        self.asker = Asker(loaded.settings, loaded.artifact.manifest)
        self.metrics = Metrics()
        capacity = loaded.capacity
        self._batcher = Batcher(engine, capacity.batch_tokens, capacity.queue_tokens, tokens_per_s)
        self._tokenizer = loaded.tokenizer
        self._tokenizer_pool = ThreadPoolExecutor(TOKENIZER_THREADS, thread_name_prefix="tokenization")
        self._tokenizing = Allowance(CHARACTERS_PER_TOKEN * capacity.queue_tokens)
        self._draining = False

    async def embed(self, question: Question, deadline: float) -> Result:
        """Compute the vectors of `question` before `deadline`, in time.monotonic() seconds.

        Raises:
            ServiceError: they cannot be computed.
        """
        begun = time.monotonic()
        encoded = await self._encode(question)
        tokenization_s = time.monotonic() - begun
        self.metrics.tokenize_seconds.observe(tokenization_s)
        sequences = [text.ids for text in encoded]
        tokens = sum(map(len, sequences))
        self._check_tokens(tokens)
        embedded = await self._batcher.embed(sequences, deadline)
        result = Result(
            vectors=embedded.vectors,
            characters=question.characters,
            tokens=tokens,
            truncated=sum(text.truncated for text in encoded),
            tokenization_s=tokenization_s,
            queue_s=embedded.queue_s,
            inference_s=embedded.inference_s,
        )
        self._count(result)
        return result

    def check_room(self) -> None:
        """Refuse a request before its body is read where the queue has no room for even one token.

        Raises:
            OverloadedError: it has none.
            UnavailableError: the service is closing.
        """
        self._batcher.check_room()

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
        """Describe model, machine and limits."""
        return describe(self.loaded) | {"resident_bytes": machine.resident_bytes()}

    async def _encode(self, question: Question) -> list[Encoded]:
        self._check_tokenizer_room(question.characters)
        share = self._tokenizing.take(question.characters)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._tokenizer_pool, self._tokenizer.encode, question.inputs, question.prompt, question.truncate
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

    def _check_tokens(self, tokens: int) -> None:
        limit = self.settings.max_request_tokens
        if tokens > limit:
            raise TooLargeError(f"{tokens} tokens, the limit of a request is {limit} (MAX_REQUEST_TOKENS)")

    def _count(self, result: Result) -> None:
        metrics = self.metrics
        metrics.queue_seconds.observe(result.queue_s)
        metrics.inference_seconds.observe(result.inference_s)
        metrics.inputs.inc(len(result.vectors))
        metrics.input_tokens.inc(result.tokens)
        metrics.truncated.inc(result.truncated)

    def _probe(self) -> list[int]:
        return self._tokenizer.encode(["ready"])[0].ids

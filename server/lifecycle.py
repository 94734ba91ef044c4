"""The server's lifecycle: bind the port, start the engine, serve, drain, stop."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import msgspec
import uvicorn
from starlette.responses import Response

from server import __version__
from server.api.app import create_app
from server.api.error_answer import to_response
from server.api.paths import canonical
from server.batching.cost_model import Pace
from server.batching.worker_threads import WorkerThreads
from server.connection.bounds import ConnectionBounds
from server.connection.connection_limit import ConnectionLimit
from server.connection.http_connection import Connection
from server.connection.http_protocol import bounded
from server.errors import DeviceLostError, ServiceError, StartError
from server.inference import device
from server.inference.device import PROVIDERS
from server.inference.engine import OnnxEngine
from server.service import memory_budget
from server.service.loaded_model import LoadedModel
from server.service.memory_budget import MemoryBudget
from server.service.service import Service
from server.service.startup import start_engine
from server.system import machine, process
from server.system.memory import Memory

logger = logging.getLogger("server")

BACKLOG = 2048
# How long the listener stays open after a signal while pending requests are answered: readiness probes, and load
# balancers that have not been updated yet, must still reach it.
LISTEN_ON_S = 3
# After that, slow senders and readers are checked at this interval.
CHECK_CALLERS_EVERY_S = 0.5
# Added to REQUEST_TIMEOUT_S, how long shutdown may take before the process exits forcibly.
STOP_MARGIN_S = 8


class Server(uvicorn.Server):
    """uvicorn's server with graceful shutdown: accepted requests are answered, within a hard time limit."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        service.metrics.watch("embedding_connections", "Open connections.", lambda: len(self.server_state.connections))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the shutdown; a second signal ends the process at once."""
        self._service.state.drain()
        process.exit_on_signals()
        seconds = self._service.settings.request_timeout_s + STOP_MARGIN_S
        process.die_after(seconds, f"it did not stop within {seconds:g} s of signal {sig}")
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Also handle SIGHUP like SIGTERM."""
        with super().capture_signals():
            process.on_signals(self.handle_exit)
            yield
            process.on_signals(exit_cleanly)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer accepted requests, then close the listener and stop, without waiting for slow callers."""
        slow_callers = asyncio.create_task(self._drop_slow_callers())
        if self.server_state.tasks:
            await asyncio.wait(set(self.server_state.tasks), timeout=LISTEN_ON_S)
        await super().shutdown(sockets)
        slow_callers.cancel()

    async def _drop_slow_callers(self) -> None:
        await asyncio.sleep(LISTEN_ON_S)
        while True:
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.drop_if_slow()
            await asyncio.sleep(CHECK_CALLERS_EVERY_S)


def reserve_port(host: str, port: int) -> socket.socket:
    """Bind the port before the slow start, so that a port in use is reported at once and no other process takes it.

    Raises:
        StartError: the address cannot be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _bind(socket.socket(family, kind, protocol), address)
    except OSError as error:
        raise StartError(
            f"HOST={host} PORT={port}: cannot listen there: {error.strerror}. "
            "Set another HOST or PORT, or stop the process that has it"
        ) from None


def _bind(listener: socket.socket, address: Any) -> socket.socket:  # noqa: ANN401 - its shape is the family's
    try:
        listener.bind(address)
    except OSError:
        # With SO_REUSEADDR a port in TIME_WAIT can be bound; one with a listener still cannot.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    return listener


def serve(loaded: LoadedModel, listener: socket.socket) -> None:
    """Load and warm up the graph, then listen, so that every connection that is accepted can be served.

    Raises:
        StartError: the graph cannot be loaded or does not answer, or the port was lost.
    """
    # A thread that feeds a GPU keeps its priority: the GPU must not wait for it.
    prepare = process.lower_priority if loaded.choice.device == "cpu" else None
    engine, warmed = start_engine(loaded, prepare)
    max_connections = process.fit_connections(loaded.settings.max_connections, process.raise_file_limit())
    budget = plan_memory(loaded, engine, max_connections)
    # Accepted connections inherit this, so a restart can bind the port while they are in TIME_WAIT.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise StartError(f"PORT={loaded.settings.port}: cannot listen there: {error.strerror}") from None
    for line in summary(loaded, engine, warmed.pace, budget, listener):
        logger.info(line)
    memory = Memory(budget.limit, machine.trim_heap_soon)
    service = Service(loaded, engine, warmed, WorkerThreads(warmed.pace.streams, _die, prepare), memory)
    limit = ConnectionLimit(budget.connections, service.metrics.count_eviction)
    answer = partial(_answer, base_path=loaded.settings.base_path)
    bounds = ConnectionBounds.of(loaded.settings, limit, memory, service.state, service.metrics.refuse, answer)
    server = Server(_uvicorn_config(service, bounds), service)
    process.freeze_heap()
    server.run(sockets=[listener])


def plan_memory(loaded: LoadedModel, engine: OnnxEngine, connections: int) -> MemoryBudget:
    """Compute how much memory requests may hold beside the warm server.

    Raises:
        StartError: the largest request would not fit.
    """
    machine.trim_heap()
    return memory_budget.plan(loaded.settings, engine, machine.held_memory(), connections)


def summary(
    loaded: LoadedModel, engine: OnnxEngine, pace: Pace, budget: MemoryBudget, listener: socket.socket
) -> Iterator[str]:
    """Yield the log lines that state the configuration and its reasons, secrets masked."""
    manifest, choice, threads = loaded.artifact.manifest, loaded.choice, loaded.threads
    yield f"embedding service {__version__}"
    yield f"model {manifest.name} ({manifest.source.id}, revision {manifest.source.revision})"
    yield f"dimension {manifest.dimension}, at most {manifest.max_tokens} tokens, pooling {manifest.pooling}"
    yield f"embedding space {loaded.artifact.space}"
    yield f"precision {choice.precision}: {choice.precision_reason}"
    if loaded.settings.quantization == "chosen" and manifest.chosen is not msgspec.UNSET:
        asked = f'"output_dtype": "{manifest.chosen.output_dtype}", "dimensions": {manifest.chosen.dimensions}'
        yield f"chosen with it, for requests to ask for: {asked}; answers without these options stay whole float32"
    yield f"device {choice.device} ({PROVIDERS[choice.device]}): {choice.device_reason}"
    yield from engine.report()
    for warning in device.cuda_warnings(loaded.artifact.variant, choice.device, engine.nodes_on_cpu):
        yield f"warning: {warning}"
    for warning in device.int8_warnings(loaded.artifact.variant, machine.cpu_flags()):
        yield f"warning: {warning}"
    for note in manifest.notes:
        yield f"note: {note}"
    yield f"threads {threads.count}: {threads.reason}"
    yield f"streams {pace.streams}: so many batches run side by side, of {pace.batch_tokens} tokens each at most"
    yield f"queue of {pace.queue_tokens} tokens"
    yield str(budget)
    yield f"measured: {pace.cost.run_s * 1e3:.2f} ms a run, {pace.tokens_per_s:.0f} tokens/s in full batches"
    yield f"settings: {' '.join(f'{name}={value}' for name, value in loaded.settings.items())}"
    host, port = listener.getsockname()[:2]
    yield f"ready, listening on {host} port {port}"


def _uvicorn_config(service: Service, bounds: ConnectionBounds) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(service),
        loop="uvloop",
        http=bounded(bounds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=service.settings.keep_alive_s,
        timeout_graceful_shutdown=round(service.settings.request_timeout_s) + 1,
    )


def _answer(error: ServiceError, target: str, base_path: str) -> Response:
    """Render an error of a request that did not reach the application, in the dialect of its path."""
    return to_response(error, canonical(target.partition("?")[0], base_path))


def _die(error: BaseException) -> None:
    if isinstance(error, DeviceLostError):
        process.die(f"{error}. See `nvidia-smi` and `dmesg`; start the server again")
    process.die(f"an inference thread died: {type(error).__name__}")


def exit_cleanly(_signal: int, _frame: FrameType | None) -> None:
    """Exit with status 0 on a signal; a second one ends the process at once."""
    # Before uvicorn installs its handlers there is nothing to finish; after shutdown it re-raises the signal.
    process.exit_on_signals()
    raise SystemExit(0)

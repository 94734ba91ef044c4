"""Pins the undocumented names of uvicorn that the server uses.

An upgrade that removes one fails here, as does a new use that is not listed.
"""

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server import connection, lifecycle
from tests.unit.server.connection.listener import GET, App

LIFECYCLE = Path(str(lifecycle.__file__))
ROOM = Path(connection.__path__[0])
PROTOCOL = [ROOM / "http_connection.py", ROOM / "http_protocol.py"]
READING = ROOM / "reading.py"
# How the methods of a subclass refer to the object.
ITSELF = {"self", "super"}
IMPORTED = {
    "uvicorn",
    "uvicorn._types.ASGI3Application",
    "uvicorn.protocols.http.flow_control.FlowControl",
    "uvicorn.protocols.http.flow_control.HIGH_WATER_LIMIT",
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol",
    "uvicorn.protocols.http.httptools_impl.RequestResponseCycle",
    "uvicorn.protocols.http.httptools_impl.STATUS_LINE",
}
USED_OF = {
    "protocol": {
        "_start_asgi_task",
        "_unset_keepalive_if_required",
        "connection_lost",
        "connection_made",
        "cycle",
        "data_received",
        "eof_received",
        "expect_100_continue",
        "flow",
        "headers",
        "loop",
        "on_headers_complete",
        "on_message_begin",
        "on_message_complete",
        "on_response_complete",
        "parser",
        "pause_writing",
        "pipeline",
        "resume_writing",
        "scope",
        "server_state",
        "shutdown",
        "timeout_keep_alive",
        "transport",
        "url",
    },
    "cycle": {
        "body",
        "disconnected",
        "keep_alive",
        "message_event",
        "response_complete",
        "response_started",
        "scope",
    },
    "flow": {"read_paused", "resume_reading", "write_paused"},
    "server": {"capture_signals", "handle_exit", "run", "server_state", "shutdown"},
    "server_state": {"connections", "default_headers", "tasks"},
}


def nodes(*files: Path) -> Iterator[ast.AST]:
    for path in files:
        yield from ast.walk(ast.parse(path.read_text("utf-8")))


def used_of(names: set[str], *files: Path) -> set[str]:
    """Return the attributes that files use of objects with these names, and the methods that they override."""
    attributes = (node for node in nodes(*files) if isinstance(node, ast.Attribute))
    used = {node.attr for node in attributes if name_of(node.value) in names}
    if names & ITSELF:
        classes = (node for node in nodes(*files) if isinstance(node, ast.ClassDef))
        methods = (node for made in classes for node in made.body)
        used |= {node.name for node in methods if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name for name in used if not name.startswith("__")}


def name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def imported() -> Iterator[str]:
    for node in nodes(*ROOM.glob("*.py"), LIFECYCLE):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("uvicorn"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("uvicorn"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


async def theirs() -> dict[str, set[str]]:
    """Return the attributes of uvicorn's objects while a request is served."""
    server = Server(Config(App(), log_config=None))
    protocol = HttpToolsProtocol(server.config, server.server_state, {})
    protocol.connection_made(asyncio.Transport())
    protocol.data_received(GET + b"\r\n")
    objects = {
        "protocol": protocol,
        "cycle": protocol.cycle,
        "flow": protocol.flow,
        "server": server,
        "server_state": server.server_state,
    }
    for task in server.server_state.tasks:
        task.cancel()
    return {name: set(dir(kind)) for name, kind in objects.items()}


def test_every_name_of_uvicorn_that_is_used_is_listed_and_there() -> None:
    used = {
        "protocol": used_of(ITSELF, *PROTOCOL),
        "cycle": used_of({"cycle", "running", "_running"}, *PROTOCOL, READING),
        "flow": used_of({"flow"}, *PROTOCOL) | used_of(ITSELF, READING),
        "server": used_of({"server", *ITSELF}, LIFECYCLE),
        "server_state": used_of({"server_state"}, *PROTOCOL, LIFECYCLE),
    }
    there = asyncio.run(theirs())
    missing = {f"{kind}.{name}" for kind, names in USED_OF.items() for name in names - there[kind]}
    assert not missing
    assert {name: names & there[name] for name, names in used.items()} == USED_OF
    assert set(imported()) == IMPORTED

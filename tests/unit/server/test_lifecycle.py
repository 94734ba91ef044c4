import socket
from typing import cast

import orjson
import pytest

from server import lifecycle
from server.connection.bounds import ConnectionBounds
from server.errors import MalformedError
from server.model.artifact import Artifact
from tests.unit.server.service.test_service import load, serving


def test_a_reserved_port_cannot_be_taken_before_it_listens() -> None:
    with lifecycle.reserve_port("127.0.0.1", 0) as reserved, pytest.raises(OSError, match="in use"):
        socket.create_server(reserved.getsockname())


def test_a_request_that_never_reaches_the_application_is_refused_in_the_dialect_of_its_path() -> None:
    answer = lifecycle._answer(MalformedError("no"), "/api//embeddings?a=b", "/api")
    assert orjson.loads(answer.body)["error"]["message"] == "no"


async def test_idle_connections_are_kept_for_the_time_that_is_set(artifact: Artifact) -> None:
    service = serving(load(artifact, KEEP_ALIVE_S="7"))
    assert lifecycle._uvicorn_config(service, cast("ConnectionBounds", None)).timeout_keep_alive == 7
    await service.close()

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from server import smoke


class Stub(http.server.BaseHTTPRequestHandler):
    """Returns fixed vectors, equal for the texts that smoke.py treats as related."""

    scale = 1.0
    confused = False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = json.dumps({"embeddings": [self.embed(text) for text in body["texts"]]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def embed(self, text: str) -> list[float]:
        groups = [list(triple[:2]) for triple in smoke.TRIPLES] + [[smoke.QUERY, smoke.PASSAGES[0]]]
        index = next((index for index, group in enumerate(groups) if text in group), len(groups))
        vector = np.zeros(len(groups) + 1)
        vector[len(groups) if self.confused and text in smoke.PASSAGES else index] = self.scale
        return [float(value) for value in vector]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def serving(**changes: object) -> Iterator[str]:
    handler = type("Changed", (Stub,), changes)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_makes_sense_passes(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as url:
        assert smoke.main([url]) == 0
    assert "dimension        12" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"), [({"scale": 2.0}, "not of unit length"), ({"confused": True}, "does not rank the passage")]
)
def test_a_server_that_does_not_fails(
    capsys: pytest.CaptureFixture[str], changes: dict[str, object], said: str
) -> None:
    with serving(**changes) as url:
        assert smoke.main([url]) == 1
    assert said in capsys.readouterr().out


def test_a_server_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as url:
        pass
    assert smoke.main([url]) == 1
    assert smoke.main(["localhost"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert f"no server answers at {url}" in lines[0]


@pytest.mark.parametrize("url", ["http://user:hidden@127.0.0.1:1", "ftp://hidden@127.0.0.1", "http://u:hid/den@h"])
def test_a_password_in_the_address_is_refused_and_not_shown(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main([url]) != 0
    said = capsys.readouterr().out
    assert "API_KEY" in said
    assert "hid" not in said

"""Runs README's Python examples verbatim, except for the port, against a real server."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.clients.conftest import same
from tests.documents.pages import Block, blocks
from tests.serving import Served, serve

EXAMPLES = [block for block in blocks("python") if block.page == "README.md"]


@pytest.fixture(scope="module")
def open_to_all() -> Iterator[Served]:
    """A server without an API key, as `make demo` starts it."""
    with serve(quantization="int8") as server:
        yield server


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_the_example_gets_the_vectors(open_to_all: Served, block: Block) -> None:
    namespace: dict[str, Any] = {}
    exec(block.text.replace("http://localhost:8000", open_to_all.url.rstrip("/")), namespace)  # noqa: S102 - from README
    same(namespace["vectors"], np.array(open_to_all.embed(["first text", "second text"]), np.float32))


def test_readme_has_an_example_with_and_one_without_a_client() -> None:
    assert [("urllib" in block.text, "openai" in block.text) for block in EXAMPLES] == [(True, False), (False, True)]

"""README's examples in Python, as they stand there, against a real server; only the port differs."""

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
    """A server as `make demo` starts it: without a key."""
    with serve(quantization="int8") as server:
        yield server


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_the_example_gets_the_vectors(open_to_all: Served, block: Block) -> None:
    found: dict[str, Any] = {}
    exec(block.text.replace("http://localhost:8000", open_to_all.url.rstrip("/")), found)  # noqa: S102 - our own page
    same(found["vectors"], np.array(open_to_all.embed(["first text", "second text"]), np.float32))


def test_readme_has_an_example_with_and_one_without_a_client() -> None:
    assert [("urllib" in block.text, "openai" in block.text) for block in EXAMPLES] == [(True, False), (False, True)]

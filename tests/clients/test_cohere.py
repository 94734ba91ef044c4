"""Cohere's client, and LangChain's on top of it."""

import base64
from collections.abc import Callable, Iterator

import cohere
import httpx
import numpy as np
import pytest
from cohere.core.api_error import ApiError
from langchain_cohere import CohereEmbeddings
from numpy.typing import NDArray

from tests.clients.conftest import KEY, same
from tests.serving import MINILM, Served


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[cohere.ClientV2]:
    with httpx.Client() as connections:
        yield cohere.ClientV2(api_key=KEY, base_url=served.url, httpx_client=connections)


def test_every_type_in_one_answer(client: cohere.ClientV2, served: Served) -> None:
    kinds = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    texts = ["A man is eating food.", "The girl is carrying a baby."]
    told = client.embed(model=MINILM, texts=texts, input_type="search_document", embedding_types=kinds)
    expected = np.array(served.embed(texts), np.float32)
    assert told.texts == texts
    assert told.meta.billed_units.input_tokens > 0
    rows = told.embeddings
    same(rows.float_, expected)
    same([np.frombuffer(base64.b64decode(row), "<f4") for row in rows.base64], expected)
    bits = np.packbits(expected > 0, axis=1)
    np.testing.assert_array_equal(rows.ubinary, bits)
    np.testing.assert_array_equal(np.array(rows.binary) + 128, bits)
    np.testing.assert_array_equal(np.array(rows.int8) + 128, rows.uint8)
    np.testing.assert_allclose(
        np.array(rows.int8) * served.client.get("/info").json()["int8_range"] / 127, expected, atol=2e-3
    )


def test_output_dimension_and_max_tokens(client: cohere.ClientV2, served: Served) -> None:
    options = {"model": MINILM, "input_type": "search_query", "output_dimension": 64}
    told = client.embed(texts=["one two three four five"], max_tokens=5, truncate="END", **options)
    same(told.embeddings.float_, np.array(served.embed(["one two three"], dimensions=64), np.float32))
    told = client.embed(texts=["one two three four five"], max_tokens=5, truncate="START", **options)
    same(told.embeddings.float_, np.array(served.embed(["three four five"], dimensions=64), np.float32))


def test_version_1(served: Served, texts: list[str], expected: NDArray[np.float32]) -> None:
    with cohere.Client(api_key=KEY, base_url=served.url) as client:
        told = client.embed(model=MINILM, texts=texts, input_type="clustering")
    assert told.response_type == "embeddings_floats"
    same(told.embeddings, expected)


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ({"images": ["data:image/png;base64,AA=="]}, 422, "reads text only"),
        ({"texts": ["a"], "model": "embed-v4.0"}, 404, MINILM),
        ({"texts": ["a b c d"], "max_tokens": 4, "truncate": "NONE"}, 422, "6 tokens, the limit is 4"),
        ({"texts": ["a"], "max_tokens": 2}, 422, "special tokens and prompt take 2"),
        ({"texts": ["a"], "embedding_types": ["binary"], "output_dimension": 12}, 422, "divisible by 8"),
    ],
)
def test_refusals_have_cohere_s_shape(
    client: cohere.ClientV2, options: dict[str, object], status: int, said: str
) -> None:
    with pytest.raises(ApiError) as refused:
        client.embed(**{"model": MINILM, "input_type": "search_document"} | options)
    assert refused.value.status_code == status
    assert refused.value.body.keys() == {"message"}
    assert said in refused.value.body["message"]


def test_a_wrong_key(served: Served) -> None:
    with httpx.Client() as connections:
        client = cohere.ClientV2(api_key="wrong", base_url=served.url, httpx_client=connections)
        with pytest.raises(cohere.UnauthorizedError) as refused:
            client.embed(model=MINILM, texts=["a"], input_type="search_query")
    assert "Authorization: Bearer KEY" in refused.value.body["message"]


@pytest.fixture
def langchain(served: Served) -> Iterator[Callable[..., CohereEmbeddings]]:
    made: list[CohereEmbeddings] = []

    def make(**options: object) -> CohereEmbeddings:
        made.append(CohereEmbeddings(model=MINILM, cohere_api_key=KEY, base_url=served.url, **options))
        return made[-1]

    yield make
    for embeddings in made:
        with embeddings.client:
            pass  # closes its connections


# Cohere's client and LangChain's call what pydantic has deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_langchain(langchain: Callable[..., CohereEmbeddings], texts: list[str], expected: NDArray[np.float32]) -> None:
    client = langchain()
    same(client.embed_documents(texts), expected)
    same([client.embed_query(texts[3])], expected[3:4])
    codes = langchain(embedding_types=["int8"]).embed_documents(texts[:2])
    assert abs(np.array(codes)).max() <= 127

"""OpenAI's client, and clients built on it."""

import asyncio
import base64
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from langchain_openai import OpenAIEmbeddings
from numpy.typing import NDArray

from tests.clients.conftest import KEY, same
from tests.serving import MINILM, Served


@pytest.fixture(scope="module")
def client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=KEY, max_retries=0)


def test_one_text_and_what_it_cost(client: openai.OpenAI, served: Served) -> None:
    answer = client.embeddings.create(model=MINILM, input="hello world")
    assert answer.model == MINILM
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (4, 4)
    same([answer.data[0].embedding], np.array(served.embed(["hello world"]), np.float32))


def test_many_texts_in_order(client: openai.OpenAI, texts: list[str], expected: NDArray[np.float32]) -> None:
    answer = client.embeddings.create(model=f"sentence-transformers/{MINILM}", input=texts)
    assert [row.index for row in answer.data] == list(range(len(texts)))
    same([row.embedding for row in answer.data], expected)


def test_without_waiting(served: Served, texts: list[str], expected: NDArray[np.float32]) -> None:
    async def ask() -> list[list[float]]:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=KEY) as client:
            parts = (
                client.embeddings.create(model=MINILM, input=texts[start : start + 10]) for start in range(0, 70, 10)
            )
            return [row.embedding for answer in await asyncio.gather(*parts) for row in answer.data]

    same(asyncio.run(ask()), expected)


def test_base64_float_and_embed_give_the_same_bits(client: openai.OpenAI, served: Served) -> None:
    text = "The same text, three times."
    floats = client.embeddings.create(model=MINILM, input=text, encoding_format="float").data[0].embedding
    written: object = client.embeddings.create(model=MINILM, input=text, encoding_format="base64").data[0].embedding
    assert isinstance(written, str)
    bits = np.array(floats, np.float32).tobytes()
    assert base64.b64decode(written) == bits == np.array(served.embed([text])[0], np.float32).tobytes()


def test_the_space_of_the_vectors_and_the_one_expected(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model=MINILM, input="a")
    space = answer.embedding_space
    assert client.models.list().data[0].embedding_space == space
    name = space.partition("/")[0]
    assert client.with_options(default_headers={"if-embedding-space": name}).embeddings.create(model=MINILM, input="a")
    other = client.with_options(default_headers={"if-embedding-space": "other@0123456789ab"})
    with pytest.raises(openai.APIStatusError, match="other@0123456789ab") as refused:
        other.embeddings.create(model=MINILM, input="a")
    assert (refused.value.status_code, refused.value.code) == (412, "space_mismatch")


def test_dimensions_and_our_own_options(client: openai.OpenAI, served: Served) -> None:
    options = {"input_type": "query", "truncate": "START"}
    long = "alpha " * 300 + "omega " * 300
    answer = client.embeddings.with_raw_response.create(model=MINILM, input=long, dimensions=64, extra_body=options)
    assert answer.headers["x-truncated-inputs"] == "1"
    assert answer.headers["x-compute-tokens"] == "256"
    same(
        [answer.parse().data[0].embedding], np.array(served.embed([long], dimensions=64, truncate="START"), np.float32)
    )


def test_token_ids(client: openai.OpenAI, served: Served) -> None:
    split = served.client.post("/tokenize", json={"inputs": ["hello world", "good bye"]}).json()
    ids = [[token["id"] for token in tokens] for tokens in split]
    wanted = np.array(served.embed(["hello world", "good bye"]), np.float32)
    same([row.embedding for row in client.embeddings.create(model=MINILM, input=ids).data], wanted)
    same([row.embedding for row in client.embeddings.create(model=MINILM, input=ids[0]).data], wanted[:1])


def test_models(client: openai.OpenAI) -> None:
    [model] = client.models.list().data
    assert model.id == MINILM
    assert client.models.retrieve(f"sentence-transformers/{MINILM}") == model
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("text-embedding-3-small")
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("asked", "kind", "param", "said"),
    [
        ({"model": "text-embedding-3-small", "input": "a"}, openai.NotFoundError, "model", MINILM),
        ({"model": MINILM, "input": ["a", " "]}, openai.UnprocessableEntityError, "input", "index 1 holds nothing"),
        ({"model": MINILM, "input": []}, openai.UnprocessableEntityError, "input", "empty list"),
        ({"model": MINILM, "input": [15339, 1917]}, openai.UnprocessableEntityError, "input", "begin with [101]"),
        (
            {"model": MINILM, "input": "a", "dimensions": 385},
            openai.UnprocessableEntityError,
            "dimensions",
            "from 1 to 384",
        ),
        (
            {"model": MINILM, "input": "a " * 300, "extra_body": {"truncate": "NONE"}},
            openai.UnprocessableEntityError,
            "input",
            "302 tokens, the limit is 256",
        ),
    ],
)
def test_refusals(
    client: openai.OpenAI, asked: dict[str, object], kind: type[openai.APIStatusError], param: str, said: str
) -> None:
    with pytest.raises(kind) as refused:
        client.embeddings.create(**asked)
    assert said in refused.value.message
    assert refused.value.param == param


def test_a_wrong_key(served: Served) -> None:
    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="Authorization: Bearer KEY"):
        client.embeddings.create(model=MINILM, input="a")


def test_a_broken_body_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="malformed JSON"):
        client.post("/embeddings", content=b'{"input": ', cast_to=httpx.Response)


def langchain(served: Served, **options: Any) -> OpenAIEmbeddings:
    # Otherwise LangChain sends token ids of OpenAI's vocabulary, which other models cannot read.
    mine = {"check_embedding_ctx_length": False, "chunk_size": 16}
    return OpenAIEmbeddings(base_url=f"{served.url}/v1", api_key=KEY, model=MINILM, **mine, **options)


def test_langchain(served: Served, texts: list[str], expected: NDArray[np.float32]) -> None:
    client = langchain(served)
    same(client.embed_documents(texts), expected)
    same([client.embed_query(texts[3])], expected[3:4])


def test_langchain_without_waiting(served: Served, texts: list[str], expected: NDArray[np.float32]) -> None:
    async def ask() -> list[list[float]]:
        async with httpx.AsyncClient() as transport:
            vectors: list[list[float]] = await langchain(served, http_async_client=transport).aembed_documents(texts)
            return vectors

    same(asyncio.run(ask()), expected)

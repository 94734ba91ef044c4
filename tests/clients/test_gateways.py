"""Gateways and RAG tools: libraries that are run, and requests of tools replayed as their public sources build them."""

from collections.abc import Iterator

import numpy as np
import pytest
from haystack import Document
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.utils import Secret
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from numpy.typing import NDArray
from openai import OpenAI

from tests.clients.conftest import KEY, same
from tests.serving import MINILM, Served, serve

BASE_PATH = "/embeddings-api"
ALIAS = "text-embedding-3-small"


@pytest.fixture(scope="module")
def behind_a_proxy() -> Iterator[Served]:
    """A server as a reverse proxy with a prefix reaches it, with an alias."""
    with serve(quantization="fp32", api_key=KEY, base_path=BASE_PATH, model_aliases=ALIAS) as server:
        server.client.headers["authorization"] = f"Bearer {KEY}"
        yield server


def test_haystack(served: Served, texts: list[str], expected: NDArray[np.float32]) -> None:
    options = {"api_key": Secret.from_token(KEY), "api_base_url": f"{served.url}/v1", "model": MINILM}
    documents = OpenAIDocumentEmbedder(**options, progress_bar=False).run([Document(content=text) for text in texts])
    same([document.embedding for document in documents["documents"]], expected)
    same([OpenAITextEmbedder(**options).run(texts[3])["embedding"]], expected[3:4])


def test_llama_index(served: Served, texts: list[str], expected: NDArray[np.float32]) -> None:
    client = OpenAILikeEmbedding(model_name=MINILM, api_base=f"{served.url}/v1", api_key=KEY, embed_batch_size=16)
    same(client.get_text_embedding_batch(texts), expected)
    same([client.get_query_embedding(texts[3])], expected[3:4])


def test_a_client_behind_a_proxy_that_only_knows_openai_s_names(
    behind_a_proxy: Served, texts: list[str], expected: NDArray[np.float32]
) -> None:
    client = OpenAI(base_url=f"{behind_a_proxy.url}{BASE_PATH}/v1/", api_key=KEY, max_retries=0)
    answer = client.embeddings.create(model=ALIAS, input=texts, user="me")
    assert answer.model == MINILM
    same([row.embedding for row in answer.data], expected)
    assert [model.id for model in client.models.list()] == [MINILM]
    assert client.models.retrieve(ALIAS).id == MINILM


# Client, path, the fields beside `input`, further headers, and the fields that are ignored.
REPLAYED: list[tuple[str, str, dict[str, object], dict[str, str], str]] = [
    ("litellm", "/v1/embeddings", {"model": f"openai/{MINILM}", "user": "me"}, {}, "user"),
    ("litellm, infinity", "/embeddings", {"model": MINILM}, {}, ""),
    ("open-webui", "/v1/embeddings", {"model": MINILM}, {"x-openwebui-user-name": "A%20B"}, ""),
    ("open-webui, prefix field", "/v1/embeddings", {"model": MINILM, "input_type": "document"}, {}, ""),
    ("dify", "/v1/embeddings", {"model": MINILM, "encoding_format": "float"}, {}, ""),
    ("spring-ai", "/v1/embeddings", {"model": MINILM, "encoding_format": "float", "user": "me"}, {}, "user"),
    ("n8n", "/v1/embeddings", {"model": ALIAS, "encoding_format": "float"}, {}, ""),
    ("a gateway's notes", "//v1/embeddings/", {"model": MINILM, "metadata": {"a": 1}, "seed": 1}, {}, "metadata, seed"),
    ("vllm's client", "/v1/embeddings", {"model": MINILM, "add_special_tokens": True, "priority": 0}, {}, "priority"),
]


@pytest.mark.parametrize("replayed", REPLAYED, ids=[row[0] for row in REPLAYED])
def test_replayed(
    behind_a_proxy: Served,
    texts: list[str],
    expected: NDArray[np.float32],
    replayed: tuple[str, str, dict[str, object], dict[str, str], str],
) -> None:
    _, path, fields, headers, ignored = replayed
    for prefix in ("", BASE_PATH):
        url = f"{behind_a_proxy.url}{prefix}{path}"
        answer = behind_a_proxy.client.post(url, json={"input": texts[:4], **fields}, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers.get("x-ignored-fields", "") == ignored
        assert answer.json()["model"] == MINILM
        same([row["embedding"] for row in answer.json()["data"]], expected[:4])


def test_a_tool_without_a_key_is_told_so(behind_a_proxy: Served) -> None:
    body = {"model": MINILM, "input": ["ping"], "encoding_format": "float"}
    answer = behind_a_proxy.client.post("/v1/embeddings", json=body, headers={"authorization": ""})
    assert answer.status_code == 401
    assert "Authorization: Bearer KEY" in answer.json()["error"]["message"]

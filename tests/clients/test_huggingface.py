"""Text Embeddings Inference clients of Hugging Face, LangChain and LlamaIndex."""

import asyncio

import numpy as np
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from langchain_huggingface import HuggingFaceEndpointEmbeddings
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
from numpy.typing import NDArray

from tests.clients.conftest import KEY, same
from tests.serving import MINILM, Served


@pytest.mark.parametrize("path", ["", "/", "/embed"])
def test_inference_client(served: Served, texts: list[str], expected: NDArray[np.float32], path: str) -> None:
    client = InferenceClient(model=served.url + path, token=KEY)
    same(client.feature_extraction(texts), expected)
    same(client.feature_extraction(texts[0]), expected[:1])


def test_inference_client_s_options(served: Served) -> None:
    client = InferenceClient(model=served.url, token=KEY)
    long = "alpha " * 300 + "omega " * 300
    vector = client.feature_extraction(long, normalize=True, truncate=True, truncation_direction="left", dimensions=64)
    same(vector, np.array(served.embed([long], truncate="START", dimensions=64), np.float32))


def test_inference_client_is_told_what_is_wrong(served: Served) -> None:
    client = InferenceClient(model=served.url, token=KEY)
    with pytest.raises(HfHubHTTPError, match="422"):
        client.feature_extraction("a " * 300, truncate=False)


def test_similarity_has_its_own_route_and_the_client_is_told_so(served: Served) -> None:
    client = InferenceClient(model=f"{served.url}/similarity", token=KEY)
    assert client.sentence_similarity("a cat", other_sentences=["a cat", "rates rose"])[0] == pytest.approx(1, abs=1e-5)
    with pytest.raises(HfHubHTTPError, match="/similarity"):
        InferenceClient(model=served.url, token=KEY).sentence_similarity("a cat", other_sentences=["a cat"])


def test_async_inference_client(served: Served, texts: list[str], expected: NDArray[np.float32]) -> None:
    async def ask() -> object:
        async with AsyncInferenceClient(model=served.url, token=KEY) as client:
            return await client.feature_extraction(texts)

    same(asyncio.run(ask()), expected)


def test_langchain(served: Served, texts: list[str], expected: NDArray[np.float32]) -> None:
    # It no longer accepts a URL, but its client does.
    embeddings = HuggingFaceEndpointEmbeddings(model=f"sentence-transformers/{MINILM}", huggingfacehub_api_token=KEY)
    embeddings.client = InferenceClient(model=served.url, token=KEY)
    same(embeddings.embed_documents(texts), expected)
    same([embeddings.embed_query(texts[3])], expected[3:4])


def test_llama_index(served: Served, texts: list[str], expected: NDArray[np.float32]) -> None:
    embedding = TextEmbeddingsInference(
        model_name=MINILM,
        base_url=served.url,
        auth_token=KEY,
        embed_batch_size=16,
        text_instruction="",
        query_instruction="",
    )
    same(embedding.get_text_embedding_batch(texts), expected)
    same([embedding.get_query_embedding(texts[3])], expected[3:4])
    same([asyncio.run(embedding.aget_text_embedding(texts[4]))], expected[4:5])

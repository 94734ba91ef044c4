"""Chroma's embedding functions, alone and inside a collection."""

import importlib
from collections.abc import Iterator

import chromadb
import numpy as np
import pytest
from chromadb.api import ClientAPI
from chromadb.config import Settings
from chromadb.utils.embedding_functions import HuggingFaceEmbeddingServer, OpenAIEmbeddingFunction
from numpy.typing import NDArray

from tests.clients.conftest import KEY, same
from tests.serving import MINILM, Served

# OpenAI's client imports it when first used; beside the imports of Chroma's threads that can fail on Python 3.11.
importlib.import_module("httpcore2")
# Chroma's functions never close their connections.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMA_TEST_KEY", KEY)


@pytest.fixture
def database() -> Iterator[ClientAPI]:
    client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
    yield client
    for collection in client.list_collections():
        client.delete_collection(collection.name)


def test_embedding_server(served: Served, database: ClientAPI, texts: list[str], expected: NDArray[np.float32]) -> None:
    function = HuggingFaceEmbeddingServer(url=f"{served.url}/embed", api_key_env_var="CHROMA_TEST_KEY")
    same(function(texts), expected)
    collection = database.create_collection("texts", embedding_function=function)
    collection.add(ids=[str(number) for number in range(len(texts))], documents=texts)
    assert collection.query(query_texts=[texts[17]], n_results=1)["ids"] == [["17"]]


def test_openai_function(served: Served, database: ClientAPI, texts: list[str], expected: NDArray[np.float32]) -> None:
    function = OpenAIEmbeddingFunction(
        api_key_env_var="CHROMA_TEST_KEY", model_name=MINILM, api_base=f"{served.url}/v1"
    )
    same(function(texts), expected)
    collection = database.create_collection("texts", embedding_function=function)
    collection.add(ids=["a", "b"], documents=["Cats sleep all day.", "Rates rose again."])
    assert collection.query(query_texts=["A kitten naps."], n_results=1)["ids"] == [["a"]]

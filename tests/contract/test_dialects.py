"""All dialects return the same vectors, each with its own metadata."""

import base64
import io

import numpy as np
import pytest

from tests.serving import MINILM, Served

TEXTS = ["A man is eating food.", "The girl is carrying a baby."]


def openai(served: Served, **body: object) -> list[object]:
    answer = served.client.post("/v1/embeddings", json={"model": MINILM} | body)
    assert answer.status_code == 200, answer.text
    return [row["embedding"] for row in answer.json()["data"]]


def test_every_dialect_gives_the_same_vector_bit_for_bit(int8: Served) -> None:
    for text in TEXTS:
        [row] = int8.embed([text])
        [written] = openai(int8, input=text, encoding_format="base64")
        assert openai(int8, input=text) == int8.client.post("/", json={"inputs": text}).json() == [row]
        assert base64.b64decode(str(written)) == np.array(row, "<f4").tobytes()


def test_token_ids_give_the_text_s_vector(int8: Served) -> None:
    [tokens] = int8.client.post("/tokenize", json={"inputs": TEXTS[0]}).json()
    ids = [token["id"] for token in tokens]
    [row] = int8.embed(TEXTS[:1])
    assert openai(int8, input=ids) == openai(int8, input=[ids[:-1]]) == [row]
    assert int8.client.post("/embed", json={"inputs": [ids]}).json() == [row]


def test_tokens_are_places_in_the_text(int8: Served) -> None:
    text = "Tokenization of naïve 漢字"
    [tokens] = int8.client.post("/tokenize", json={"inputs": text}).json()
    words = [token for token in tokens if not token["special"]]
    assert [token["text"] for token in tokens if token["special"]] == ["[CLS]", "[SEP]"]
    assert all(token["text"] == text[token["start"] : token["stop"]] for token in words)
    assert "".join(token["text"] for token in words) == text.replace(" ", "")
    bare = int8.client.post("/tokenize", json={"inputs": [text, ""], "add_special_tokens": False}).json()
    assert bare == [words, []]


def test_similarity_is_the_cosine(int8: Served) -> None:
    body = {"inputs": {"source_sentence": TEXTS[0], "sentences": [TEXTS[1], TEXTS[0]]}}
    answer = int8.client.post("/similarity", json=body)
    first, second = np.array(int8.embed(TEXTS))
    np.testing.assert_allclose(answer.json(), [first @ second, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/embeddings", {"model": MINILM, "input": "word " * 300}),
        ("/similarity", {"inputs": {"source_sentence": "word " * 300, "sentences": ["a"]}}),
        ("/", {"inputs": "word " * 300}),
    ],
)
def test_no_dialect_cuts_in_silence(int8: Served, route: str, body: dict[str, object]) -> None:
    answer = int8.client.post(route, json=body)
    assert answer.headers["x-truncated-inputs"] == "1"
    assert answer.headers["x-inference-time"].isdigit()
    assert answer.headers["x-request-id"]


def test_the_model_and_its_names(int8: Served) -> None:
    listed = int8.client.get("/v1/models").json()
    [model] = listed["data"]
    assert (listed["object"], model["id"], model["object"]) == ("list", MINILM, "model")
    assert (model["max_tokens"], model["dimension"]) == (256, 384)
    for name in (MINILM, f"sentence-transformers/{MINILM}", f"sentence-transformers%2F{MINILM}"):
        assert int8.client.get(f"/v1/models/{name}").json() == model
    missing = int8.client.get("/v1/models/gpt")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_info_has_what_clients_of_text_embeddings_inference_read(int8: Served) -> None:
    info = int8.client.get("/info").json()
    assert info["model_id"] == f"sentence-transformers/{MINILM}"
    assert info["served_model_name"] == MINILM
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    assert (info["max_input_length"], info["max_client_batch_size"]) == (256, 1024)
    for name in ("max_concurrent_requests", "tokenization_workers", "max_batch_tokens"):
        assert info[name] >= 1
    assert [info[name] for name in ("max_batch_requests", "sha", "docker_label")] == [None] * 3


def test_metrics_are_prometheus_text(int8: Served) -> None:
    answer = int8.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE embedding_requests_total counter" in answer.text


def test_the_document_for_programs_and_for_people(int8: Served) -> None:
    document = int8.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    page = int8.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in document["paths"]:
        assert path in page.text


@pytest.mark.parametrize("name", ["float", "float16", "int8", "uint8", "binary", "ubinary"])
@pytest.mark.parametrize("dimensions", [None, 64])
def test_every_type_is_the_same_as_numbers_base64_bytes_and_npy(
    int8: Served, name: str, dimensions: int | None
) -> None:
    body = {"texts": TEXTS, "output_dtype": name, "dimensions": dimensions}
    rows = int8.embed(TEXTS, output_dtype=name, dimensions=dimensions)
    file = int8.client.post("/embed", json=body, headers={"accept": "application/x-npy"})
    matrix = np.load(io.BytesIO(file.content), allow_pickle=False)
    np.testing.assert_array_equal(np.array(rows, matrix.dtype), matrix)
    options = {"input": TEXTS, "embedding_type": name, "dimensions": dimensions}
    written = openai(int8, **options, encoding_format="base64")
    assert [base64.b64decode(str(row)) for row in written] == [row.tobytes() for row in matrix]
    raw = int8.client.post(
        "/v1/embeddings", json={"model": MINILM} | options, headers={"accept": "application/octet-stream"}
    )
    assert raw.content == matrix.tobytes()
    assert raw.headers["content-type"] == "application/octet-stream"
    assert raw.headers["x-embedding-shape"] == ",".join(map(str, matrix.shape))
    assert raw.headers["x-embedding-dtype"] == matrix.dtype.name
    assert raw.headers["x-compute-tokens"] == file.headers["x-compute-tokens"]


@pytest.mark.parametrize("dimensions", [None, 1, 37])
def test_int8_rescales_to_the_vector_by_the_scale_in_the_header(int8: Served, dimensions: int | None) -> None:
    floats = np.array(int8.embed(TEXTS, dimensions=dimensions))
    for name, zero in (("int8", 0), ("uint8", 128)):
        body = {"texts": TEXTS, "output_dtype": name, "dimensions": dimensions}
        answer = int8.client.post("/embed", json=body)
        scale = float(answer.headers["x-embedding-scale"])
        codes = np.array(answer.json()["embeddings"])
        np.testing.assert_allclose((codes - zero) * scale, floats, atol=scale * 0.501)
    if dimensions is None:
        assert scale == pytest.approx(int8.client.get("/info").json()["int8_range"] / 127)


@pytest.mark.parametrize(
    ("body", "accept", "said"),
    [
        ({"output_dtype": "binary", "dimensions": 100}, "*/*", "divisible by 8: it is 100"),
        ({"output_dtype": "binary", "encoding_format": "int8"}, "*/*", "encoding_format"),
        ({"encoding_format": "base64"}, "application/octet-stream", "Accept: application/octet-stream"),
        ({"output_dtype": "int4"}, "application/x-npy", "output_dtype must be one of float, float16"),
    ],
)
def test_impossible_forms_are_refused_before_anything_is_computed(
    int8: Served, body: dict[str, object], accept: str, said: str
) -> None:
    before = int8.metrics()["embedding_inputs_total"]
    refused = int8.client.post("/embed", json={"texts": TEXTS} | body, headers={"accept": accept})
    assert refused.status_code == 422
    assert said in refused.json()["error"]
    assert int8.metrics()["embedding_inputs_total"] == before

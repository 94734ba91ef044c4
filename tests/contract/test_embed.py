"""The contract of `POST /embed`, on a real socket with real weights: shapes, options and headers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.serving import Served, serve

TEXTS = ["A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby."]


def ask(served: Served, **body: object) -> object:
    answer = served.client.post("/embed", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_shape_of_the_answer_follows_the_key(int8: Served) -> None:
    one = ask(int8, text=TEXTS[0])
    assert isinstance(one, dict)
    vector = one["embedding"]
    assert len(vector) == 384
    assert ask(int8, text=[TEXTS[0]]) == {"embeddings": [vector]}
    assert ask(int8, texts=[TEXTS[0]]) == {"embeddings": [vector]}
    assert ask(int8, inputs=TEXTS[0]) == [vector]
    assert ask(int8, inputs=[TEXTS[0]]) == [vector]


def test_vectors_are_unit_and_mean_something(int8: Served) -> None:
    vectors = np.array(int8.embed(TEXTS))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > far + 0.3


def test_answers_come_in_the_order_of_the_texts(fp32: Served) -> None:
    texts = [" ".join(["word"] * (1 + 37 * i % 90)) + f" {i}" for i in range(40)]
    together = np.array(fp32.embed(texts))
    alone = np.array([fp32.embed([text])[0] for text in texts])
    assert (together * alone).sum(1).min() >= 0.99999


@pytest.mark.parametrize("name", ["query", "document", "passage", "search_query", "search_document"])
def test_input_types_of_a_model_without_prompts_add_nothing(int8: Served, name: str) -> None:
    assert int8.embed([TEXTS[0]], input_type=name) == int8.embed([TEXTS[0]])


def test_dimensions_cuts_and_normalizes_again(int8: Served) -> None:
    whole = np.array(int8.embed([TEXTS[0]])[0])
    cut = np.array(int8.embed([TEXTS[0]], dimensions=64)[0])
    np.testing.assert_allclose(cut, whole[:64] / np.linalg.norm(whole[:64]), atol=1e-6)
    unscaled = np.array(int8.embed([TEXTS[0]], dimensions=64, normalize=False)[0])
    np.testing.assert_allclose(unscaled, whole[:64], atol=1e-7)


def test_truncation_is_never_silent(int8: Served) -> None:
    long = "every word counts " * 300
    cut = int8.client.post("/embed", json={"texts": ["short", long]})
    assert cut.headers["x-truncated-inputs"] == "1"
    for value in (False, "NONE"):
        refused = int8.client.post("/embed", json={"texts": ["short", long], "truncate": value})
        assert refused.status_code == 422
        assert "index 1" in refused.json()["error"]
        assert "902 tokens" in refused.json()["error"]
        assert "256" in refused.json()["error"]


def test_start_keeps_the_tail_and_end_the_head(int8: Served) -> None:
    long = "alpha " * 300 + "omega " * 300
    head, tail = (int8.embed([long], truncate=side)[0] for side in ("END", "START"))
    assert np.dot(head, int8.embed(["alpha " * 254])[0]) > 0.999
    assert np.dot(tail, int8.embed(["omega " * 254])[0]) > 0.999


def test_headers_tell_time_and_tokens(int8: Served) -> None:
    answer = int8.client.post("/embed", json={"text": "hello world"}, headers={"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    assert answer.headers["x-compute-tokens"] == "4"
    assert answer.headers["x-truncated-inputs"] == "0"
    for name in ("total", "tokenization", "queue", "inference"):
        assert answer.headers[f"x-{name}-time"].isdigit()


def test_many_clients_at_once_get_their_own_vectors(fp32: Served) -> None:
    texts = [f"client number {i} asks about topic {i * i}" for i in range(64)]
    expected = np.array(fp32.embed(texts))
    with ThreadPoolExecutor(16) as pool:
        rows = np.array([row for [row] in pool.map(lambda text: fp32.embed([text]), texts)])
    assert (rows * expected).sum(1).min() >= 0.99999


def test_info_says_what_runs(int8: Served) -> None:
    info = int8.client.get("/info").json()
    assert (info["model"], info["precision"], info["device"]) == ("all-MiniLM-L6-v2", "int8", "cpu")
    assert (info["dimension"], info["max_tokens"], info["pooling"]) == (384, 256, "mean")
    assert info["provider"] == "CPUExecutionProvider"
    assert info["threads"] >= 1
    assert info["fidelity"]["to_source"]["mean"] > 0.99
    printed = "\n".join(int8.lines)
    for word in ("all-MiniLM-L6-v2", "int8", "CPUExecutionProvider", "dimension 384", "at most 256 tokens", "threads"):
        assert word in printed


def test_health_and_readiness(int8: Served) -> None:
    for route in ("/health", "/ready"):
        assert int8.client.get(route).status_code == 200
        assert int8.client.head(route).status_code == 200


def test_vectors_are_the_same_however_many_streams_compute_them() -> None:
    texts = [" ".join(["word"] * (1 + 37 * number % 90)) + f" {number}" for number in range(60)]
    with (
        serve(quantization="int8", threads=2, streams=1) as one,
        serve(quantization="int8", threads=2, streams=2) as two,
    ):
        assert (one.client.get("/info").json()["streams"], two.client.get("/info").json()["streams"]) == (1, 2)
        with ThreadPoolExecutor(8) as callers:
            busy = [rows[0] for rows in callers.map(two.embed, [[text] for text in texts])]
        alone = [one.embed([text])[0] for text in texts]
        assert [two.embed([text])[0] for text in texts] == alone
    assert (np.array(busy) * np.array(alone)).sum(1).min() >= 0.99999


def test_what_computes_is_nicer_than_the_event_loop() -> None:
    with serve(quantization="int8", threads=2, streams=1) as served:
        served.embed(["begin"])
        stats = Path(f"/proc/{served.process.pid}/task").glob("*/stat")
        niceness = {path.parent.name: int(path.read_text().rpartition(") ")[2].split()[16]) for path in stats}
    loop = niceness.pop(str(served.process.pid))
    # The inference thread and ONNX Runtime's own thread have a lower priority.
    assert list(niceness.values()).count(min(19, loop + 5)) >= 2

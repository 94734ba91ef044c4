"""Every answer with vectors says which space they are of, and callers can refuse any other."""

import pytest

from tests.serving import MINILM, Served

VECTORS = {
    "/embed": {"text": "a"},
    "/": {"inputs": ["a", "b"]},
    "/v1/embeddings": {"input": "a", "model": MINILM},
    "/v1/embed": {"texts": ["a"], "model": MINILM},
    "/v2/embed": {"texts": ["a"], "model": MINILM},
    "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
}


@pytest.fixture(scope="module")
def space(int8: Served) -> str:
    """The id that the server gives its vectors."""
    found: str = int8.client.get("/info").json()["space"]
    return found


@pytest.mark.parametrize("path", VECTORS)
def test_every_answer_with_vectors_names_its_space(int8: Served, space: str, path: str) -> None:
    answer = int8.client.post(path, json=VECTORS[path])
    assert (answer.status_code, answer.headers["x-embedding-space"]) == (200, space)
    assert int8.client.post(path, json={}).headers.get("x-embedding-space") is None


def test_it_is_everywhere_where_the_model_is_named(int8: Served, space: str) -> None:
    name, precision = space.split("/")
    assert name.startswith(f"{MINILM}@")
    assert precision.startswith("int8-")
    assert int8.client.get("/v1/models").json()["data"][0]["embedding_space"] == space
    assert any(f"embedding space {space}" in line for line in int8.lines)
    info = next(series for series in int8.metrics() if series.startswith("embedding_model_info"))
    assert f'space="{space}"' in info


def test_precisions_of_a_model_differ_in_the_last_part_only(fp32: Served, space: str) -> None:
    assert fp32.client.get("/info").json()["space"] == f"{space.partition('/')[0]}/fp32"


@pytest.mark.parametrize("path", VECTORS)
def test_a_caller_gets_the_space_that_it_expects_or_412(int8: Served, space: str, path: str) -> None:
    for expected in (space, space.split("/", maxsplit=1)[0]):
        answer = int8.client.post(path, json=VECTORS[path], headers={"if-embedding-space": expected})
        assert answer.status_code == 200
    other = f"{space.partition('/')[0]}/fp32"
    answer = int8.client.post(path, json=VECTORS[path], headers={"if-embedding-space": other})
    assert answer.status_code == 412
    assert other in answer.text
    assert space in answer.text

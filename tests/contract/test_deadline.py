"""`x-request-timeout-ms`: callers can shorten the server's request timeout."""

import pytest

from tests.serving import Served

LONG = {"texts": [f"{number} " + "some more words " * 50 for number in range(300)]}


def test_a_request_that_asks_for_less_time_than_it_takes_is_a_504(int8: Served) -> None:
    answer = int8.client.post("/embed", json=LONG, headers={"x-request-timeout-ms": "20"})
    assert answer.status_code == 504
    assert answer.json()["error_type"] == "timeout"
    assert int8.embed(["a text"])


def test_a_request_that_asks_for_enough_is_served(int8: Served) -> None:
    answer = int8.client.post("/embed", json={"text": "a"}, headers={"x-request-timeout-ms": "99999999"})
    assert answer.status_code == 200


@pytest.mark.parametrize("given", ["0", "-5", "soon", "1.5"])
def test_anything_but_a_whole_number_is_refused_by_name(int8: Served, given: str) -> None:
    answer = int8.client.post("/embed", json={"text": "a"}, headers={"x-request-timeout-ms": given})
    assert answer.status_code == 422
    assert "x-request-timeout-ms" in answer.json()["error"]

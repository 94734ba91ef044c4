import orjson
import pytest
from starlette.exceptions import HTTPException

from server import errors
from server.api import error_answer


def test_the_flat_shape() -> None:
    response = error_answer.to_response(errors.InvalidError("index 3 is too long"), "/embed")
    assert response.status_code == 422
    assert orjson.loads(response.body) == {"error": "index 3 is too long", "error_type": "validation"}


def test_openai_routes_get_the_nested_shape() -> None:
    response = error_answer.to_response(errors.NotFoundError("nothing"), "/v1/embeddings")
    assert orjson.loads(response.body) == {
        "error": {"message": "nothing", "type": "invalid_request_error", "param": None, "code": "not_found"}
    }


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (errors.OverloadedError("full", 7), "retry-after", "7"),
        (errors.UnauthorizedError("key"), "www-authenticate", "Bearer"),
        (error_answer.from_http(HTTPException(405), "GET", "/embed", ["POST"], ""), "allow", "POST"),
    ],
)
def test_headers_that_a_client_acts_on(error: errors.ServiceError, header: str, value: str) -> None:
    assert error_answer.to_response(error, "/embed").headers[header] == value


def test_the_method_refused_and_the_method_taken_are_named() -> None:
    error = error_answer.from_http(HTTPException(405), "GET", "/embed", ["POST"], "")
    assert str(error) == "/embed does not take GET; it takes POST"


def test_methods_are_named_in_one_order_whichever_process_answers() -> None:
    error = error_answer.from_http(HTTPException(405), "PUT", "/info", ["HEAD", "GET"], "")
    assert str(error) == "/info does not take PUT; it takes GET, HEAD"
    assert error.headers == {"Allow": "GET, HEAD"}

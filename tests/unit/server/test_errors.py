import orjson
import pytest
from starlette.exceptions import HTTPException

from server import errors


def all_errors() -> list[type[errors.ServiceError]]:
    families = [errors.CallerError, errors.OurError]
    return [kind for family in families for kind in family.__subclasses__()]


def test_the_callers_faults_are_4xx_and_ours_say_when_to_retry_or_are_5xx() -> None:
    for kind in all_errors():
        ours = issubclass(kind, errors.OurError)
        # What HTTP has a 5xx for though only the request can change: a coding and a version that are not spoken here.
        unknown = kind.status in {501, 505}
        assert unknown or (kind.status >= 500 or kind.status == 429) is ours, kind


def test_the_flat_shape() -> None:
    response = errors.to_response(errors.InvalidError("index 3 is too long"), "/embed")
    assert response.status_code == 422
    assert orjson.loads(response.body) == {"error": "index 3 is too long", "error_type": "validation"}


def test_openai_routes_get_the_nested_shape() -> None:
    response = errors.to_response(errors.NotFoundError("nothing"), "/v1/embeddings")
    assert orjson.loads(response.body) == {
        "error": {"message": "nothing", "type": "invalid_request_error", "param": None, "code": "not_found"}
    }


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (errors.OverloadedError("full", 7), "retry-after", "7"),
        (errors.UnauthorizedError("key"), "www-authenticate", "Bearer"),
        (errors.from_http(HTTPException(405, headers={"Allow": "POST"}), "GET", "/embed"), "allow", "POST"),
    ],
)
def test_headers_that_a_client_acts_on(error: errors.ServiceError, header: str, value: str) -> None:
    assert errors.to_response(error, "/embed").headers[header] == value


def test_the_method_refused_and_the_method_taken_are_named() -> None:
    error = errors.from_http(HTTPException(405, headers={"Allow": "POST"}), "GET", "/embed")
    assert str(error) == "/embed does not take GET; it takes POST"

import orjson
import pytest

from server.api.dialects import tokens
from server.model.artifact import Artifact
from server.model.tokenization import Tokenizer
from server.service.embed_request import Asker
from server.settings import resolve
from tests.unit.server.tiny import CLS, MAX_TOKENS, SEP


@pytest.fixture
def asker(artifact: Artifact) -> Asker:
    return Asker(resolve({}), artifact.manifest)


def test_texts_may_be_blank_and_get_the_prompt(asker: Asker) -> None:
    asked = tokens.parse(b'{"inputs": ["", "a"], "prompt_name": "query", "add_special_tokens": false}', asker)
    assert asked == tokens.TokenizeQuestion(["query: ", "query: a"], special=False)
    assert tokens.parse(b'{"inputs": "a", "add_special_tokens": null}', asker) == tokens.TokenizeQuestion(["a"], True)


def test_tokens_have_places_and_special_ones_none(artifact: Artifact) -> None:
    tokenizer = Tokenizer(artifact.tokenizer_path, MAX_TOKENS)
    answer = orjson.loads(tokens.render([tokenizer.split("é cat"), tokenizer.split("", special=False)]))
    assert answer == [
        [
            {"id": CLS, "text": "[CLS]", "special": True, "start": None, "stop": None},
            {"id": 7, "text": "é", "special": False, "start": 0, "stop": 1},
            {"id": 11, "text": "cat", "special": False, "start": 2, "stop": 5},
            {"id": SEP, "text": "[SEP]", "special": True, "start": None, "stop": None},
        ],
        [],
    ]

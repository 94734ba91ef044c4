import pytest

from server.errors import InvalidError
from server.model.output_types import TYPES
from server.service.output import Output, extra_bytes, find_output, read_encoding


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, ("float", False)),
        ({"encoding_format": "base64"}, ("float", True)),
        ({"encoding_format": "int8"}, ("int8", False)),
        ({"output_dtype": "float16"}, ("float16", False)),
        ({"encoding_format": "base64", "output_dtype": "int8"}, ("int8", True)),
        ({"encoding_format": "float", "output_dtype": "int8"}, ("int8", False)),
        ({"encoding_format": "base64", "embedding_type": "float"}, ("float", True)),
        ({"embedding_type": "base64", "output_dtype": "ubinary"}, ("ubinary", True)),
    ],
)
def test_options_of_all_dialects(given: dict[str, str], read: tuple[str, bool]) -> None:
    assert read_encoding(**given) == read


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"encoding_format": "fp16"}, "encoding_format"),
        ({"output_dtype": "base64"}, "output_dtype"),
        ({"embedding_type": "bits"}, "embedding_type"),
        ({"encoding_format": "int8", "output_dtype": "float"}, "output_dtype"),
        ({"encoding_format": "float", "embedding_type": "base64"}, "embedding_type"),
        ({"output_dtype": "int8", "embedding_type": "uint8"}, "embedding_type"),
        ({"encoding_format": "binary", "output_dtype": "binary"}, "output_dtype"),
    ],
)
def test_unknown_and_contradicting_options(given: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidError) as refused:
        read_encoding(**given)
    assert refused.value.param == field


def test_packed_types_need_whole_bytes() -> None:
    assert find_output("binary", False, 16, None, "output_dtype") == Output(TYPES["binary"])
    for dimensions in (1, 7, 9):
        with pytest.raises(InvalidError, match=f"divisible by 8: it is {dimensions}"):
            find_output("ubinary", False, dimensions, None, "output_dtype")


def test_int8_needs_a_model_built_with_ranges() -> None:
    output = find_output("int8", True, 16, 0.254, "output_dtype")
    assert output.scale == pytest.approx(0.002)
    with pytest.raises(InvalidError, match="build it again"):
        find_output("uint8", True, 16, None, "output_dtype")


def test_several_forms_take_more_memory_than_the_one_that_is_reserved() -> None:
    assert extra_bytes(()) == extra_bytes((Output(),)) == 0
    every = (*(Output(kind) for kind in TYPES.values()), Output(base64=True))
    assert extra_bytes(every) > extra_bytes(every[:2]) > 0

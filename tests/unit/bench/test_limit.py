import pytest

from bench.limit import operations_per_pair, operations_per_token


def test_bge_large_costs_600_million_operations_a_token() -> None:
    config = {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096}
    assert operations_per_token(config) == 12 * 1024**2 * 24 * 2 == 603_979_776


def test_distilbert_names_them_otherwise() -> None:
    assert operations_per_token({"dim": 8, "n_layers": 2, "hidden_dim": 16}) == 2 * 2 * (4 * 64 + 2 * 128)


def test_another_configuration_is_an_error() -> None:
    with pytest.raises(KeyError, match="num_hidden_layers"):
        operations_per_token({"hidden_size": 8})


def test_a_pair_of_tokens_costs_a_score_and_a_share_of_the_value() -> None:
    assert operations_per_pair({"hidden_size": 1024, "num_hidden_layers": 24}) == 98_304

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.batching.cost_model import CostModel, Load, fit

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=20)
PARTS = st.floats(1e-6, 1.0)


def load(*lengths: int) -> Load:
    made = Load()
    for length in lengths:
        made = made.plus(length)
    return made


@given(lengths=LENGTHS)
def test_a_load_adds_up(lengths: list[int]) -> None:
    squares = sum(length**2 for length in lengths)
    assert load(*lengths) == Load(len(lengths), sum(lengths), squares, max(lengths))


def test_a_packed_run_costs_its_tokens_and_their_pairs() -> None:
    assert CostModel(1.0, 0.1, 0.01, packed=True).seconds(load(10, 20)) == pytest.approx(1 + 3 + 5)


def test_a_padded_run_costs_every_text_as_long_as_the_longest() -> None:
    assert CostModel(1.0, 0.1, 0.01, packed=False).seconds(load(10, 20)) == pytest.approx(1 + 4 + 8)
    assert CostModel(1.0, 0.1, 0.01, packed=False).seconds(load()) == 0


@given(lengths=LENGTHS, length=st.integers(1, 512), run=PARTS, token=PARTS, pair=PARTS)
def test_without_padding_it_is_always_cheaper_together(
    lengths: list[int], length: int, run: float, token: float, pair: float
) -> None:
    together, added = CostModel(run, token, pair, packed=True), load(*lengths)
    assert together.cheaper_together(added, length) or together.seconds(added.plus(length)) < 1.000001 * (
        together.seconds(added) + together.seconds(load(length))
    )


def test_with_padding_a_longer_text_joins_only_where_a_run_costs_more_than_the_padding() -> None:
    cost = CostModel(run_s=30.0, token_s=1.0, pair_s=0.0, packed=False)
    assert cost.cheaper_together(load(10, 10), 25)
    assert not cost.cheaper_together(load(10, 10), 26)


@given(run=PARTS, token=PARTS, pair=st.floats(0, 1e-3), packed=st.booleans())
def test_a_fit_finds_what_made_the_times(run: float, token: float, pair: float, packed: bool) -> None:
    made = CostModel(run, token, pair, packed)
    loads = [load(8), load(128), load(256), load(128, 128), load(*[256] * 8)]
    fitted = fit(loads, [made.seconds(one) for one in loads], packed=packed)
    for length in (8, 100, 256):
        assert fitted.seconds(load(length)) == pytest.approx(made.seconds(load(length)), rel=0.02)


@given(times=st.lists(st.floats(1e-6, 10), min_size=3, max_size=3))
def test_no_times_give_a_negative_cost(times: list[float]) -> None:
    fitted = fit([load(8), load(128), load(256)], times, packed=True)
    assert min(fitted.run_s, fitted.token_s, fitted.pair_s) >= 0


@pytest.mark.parametrize("share", [0.9, 0.97])
@pytest.mark.parametrize(("run", "token"), [(0.001, 0.0001), (0.02, 0.0005), (0.0, 0.001)])
def test_the_batch_for_a_share_of_the_best_speed_reaches_it_and_half_of_it_does_not(
    run: float, token: float, share: float
) -> None:
    cost = CostModel(run, token, 0.0, packed=True)
    enough = cost.tokens_for(share)
    assert cost.tokens_per_s(enough + 1) >= share / token
    assert enough < 8 or cost.tokens_per_s(enough // 2) < share / token


def test_a_machine_that_costs_nothing_by_the_token_needs_no_large_batches() -> None:
    assert CostModel(1.0, 0.0, 0.0, packed=True).tokens_for(0.97) == 0

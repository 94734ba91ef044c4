"""The cheapest within a budget: the fastest precision, then its smallest vector, judged by the worse end."""

from server.choose.computing import speeds
from server.choose.evaluation import AGREEMENT
from server.choose.interval import Loss
from server.choose.report import ChoiceReport
from server.choose.schemes import REFERENCE, VectorScheme, is_reference, schemes
from server.choose.verdict import Cost, MeasuredScheme, choose, nearest
from server.choose.work_folder import Spent
from server.model.manifest import Precision
from server.model.output_types import OutputName

COSTS: dict[Precision, Cost] = {
    "fp32": Cost((90, 100, 110), 400, 1),
    "int8": Cost((280, 300, 310), 110, 1),
    "int8-static": Cost((290, 305, 400), 100, 1),
}


def measured(precision: Precision, output: OutputName, dimensions: int, low: float, high: float) -> MeasuredScheme:
    scheme = VectorScheme(precision, output, dimensions)
    return MeasuredScheme(scheme, {"m": Loss((low + high) / 2, low, high)}, is_reference(scheme, 64))


ALL = [
    measured("fp32", "float", 64, 0, 0),
    measured("fp32", "int8", 32, 0.0, 0.004),
    measured("int8", "float", 64, 0.001, 0.004),
    measured("int8", "int8", 64, 0.001, 0.005),
    measured("int8", "binary", 64, 0.1, 0.2),
    measured("int8-static", "float", 64, 0.002, 0.006),
]


def test_the_fastest_precision_then_its_smallest_vector() -> None:
    found = choose(ALL, COSTS, "m", 0.005)
    assert found
    assert (found.scheme.precision, found.scheme.output) == ("int8", "int8")


def test_of_equally_fast_precisions_the_one_of_less_memory() -> None:
    found = choose(ALL, COSTS, "m", 0.01)
    assert found
    assert found.scheme.precision == "int8-static"


def report(budget: float, costs: dict[Precision, Cost]) -> str:
    made = [MeasuredScheme(one.scheme, {**one.losses, AGREEMENT: one.losses["m"]}, one.reference) for one in ALL]
    found = choose(made, costs, "m", budget)
    return "\n".join(ChoiceReport("x", "m", budget, 95, 1, 1, False, True, made, costs, {"m": 1.0}, found, 0.0).lines())


def test_the_reason_is_that_of_the_choice() -> None:
    assert "why: int8 is the fastest precision within the budget" in report(0.005, COSTS)
    assert "int8-static is faster" not in report(0.005, COSTS)
    assert "why: int8-static takes the least memory of the fastest precisions within the budget, beside int8" in report(
        0.01, COSTS
    )
    quicker: dict[Precision, Cost] = {**COSTS, "int8-static": Cost((310,), 100, 1)}
    assert "int8-static is faster, and no vector of it is within the budget" in report(0.005, quicker)
    # The table leaves out what loses far more than the budget.
    assert "1 more in report.json" in report(0.01, COSTS)


def test_what_was_left_of_a_round_is_no_speed() -> None:
    rounds = {0: Spent(100, 1.0), 1: Spent(3, 3.0), 2: Spent(60, 0.5), 3: Spent(100, 9.0)}
    assert speeds(rounds, 300) == (100, 120)
    assert speeds({1: Spent(3, 3.0)}, 300) == (1,)


def test_the_worse_end_decides() -> None:
    found = choose(ALL, COSTS, "m", 0.0045)
    assert found
    assert found.scheme.output == "float"
    assert choose(ALL, COSTS, "m", 0.003) is None


def test_the_reference_itself_is_neither_chosen_nor_nearest() -> None:
    assert choose(ALL[:1], COSTS, "m", 0.5) is None
    assert nearest(ALL, "m").losses["m"].high == 0.004


def test_schemes_are_those_that_the_model_can_answer_with() -> None:
    every = schemes([REFERENCE], 384, lambda _: None)
    assert {scheme.output for scheme in every} == {"float", "float16", "binary"}
    sizes = {(scheme.output, scheme.dimensions): scheme.bytes for scheme in schemes([REFERENCE], 384, lambda _: 0.2)}
    assert len(sizes) == 16
    assert [sizes[name, 384] for name in ("float", "float16", "int8", "binary")] == [1536, 768, 384, 48]
    assert sizes["int8", 96] == 96
    assert {scheme.dimensions for scheme in schemes([REFERENCE], 36, lambda _: 0.2)} == {36}

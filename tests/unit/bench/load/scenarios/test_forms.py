from bench.load.call import request
from bench.load.scenarios.forms import FORMS, PLAIN, FormMeasured, judge, ratio
from tests.unit.bench.load.made import figures, run


def test_each_round_is_set_against_plain_json_s_own() -> None:
    assert ratio([run(figures(90)), run(figures(60))], [run(figures(30)), run(figures(20))]) == 3.0
    assert ratio([run(figures(90))], [run(figures(0))]) is None


def test_a_lost_request_of_any_form_is_seen() -> None:
    good, bad = run(figures()), run(figures(planned=1001, broken=1))
    assert judge({PLAIN: FormMeasured(1.0, [good], [good])})[0].met
    assert not judge({PLAIN: FormMeasured(1.0, [good], [bad])})[0].met


def test_bytes_are_asked_for_in_a_header() -> None:
    assert b"\r\nAccept: application/x-npy\r\n" in request(FORMS["npy, float"], ["a"])
    assert b"Accept" not in request(FORMS[PLAIN], ["a"])

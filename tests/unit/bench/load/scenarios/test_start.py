from bench.load.scenarios.start import Started, judge


def test_the_median_start_decides_and_the_graph_s_time_is_granted() -> None:
    starts = [Started(4.0, 0, 1.5), Started(9.0, 0, 1.5), Started(4.4, 0, 1.5)]
    assert [verdict.met for verdict in judge(starts)] == [True, True]
    assert [verdict.met for verdict in judge([Started(4.6, 0, 1.5)])] == [False, True]


def test_an_answer_before_it_was_ready_is_seen() -> None:
    assert [verdict.met for verdict in judge([Started(1.0, 1, 0.5), Started(1.0, 0, 0.5)])] == [True, False]

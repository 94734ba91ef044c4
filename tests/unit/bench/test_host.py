from bench import host


def test_the_report_says_what_computed() -> None:
    described = host.describe()
    assert described["versions"].keys() == {"numpy", "onnxruntime", "tokenizers"}  # type: ignore[attr-defined]
    assert f"{described['cpu']}" in host.line(described, 3)
    assert host.line(described, 3).endswith("3 threads")


def test_a_machine_with_others_at_work_is_busy() -> None:
    assert host.busy({"load_average": [3.2, 0.0, 0.0]})
    assert not host.busy({"load_average": [0.1, 9.0, 9.0]})

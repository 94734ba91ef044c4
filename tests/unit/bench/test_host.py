from pathlib import Path

from bench import host


def test_the_processor_is_named(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast 9000\nmodel name\t: Fast 9000\n")
    assert host.cpu_model(tmp_path) == "Fast 9000"


def test_a_processor_without_a_name_is_named_by_its_kind(tmp_path: Path) -> None:
    assert host.cpu_model(tmp_path)


def test_the_report_says_what_computed() -> None:
    described = host.describe()
    assert described["versions"].keys() == {"numpy", "onnxruntime", "tokenizers"}  # type: ignore[attr-defined]
    assert f"{described['cpu']}" in host.line(described, 3)
    assert host.line(described, 3).endswith("3 threads")


def test_a_machine_with_others_at_work_is_busy() -> None:
    assert host.busy({"load_average": [3.2, 0.0, 0.0]})
    assert not host.busy({"load_average": [0.1, 9.0, 9.0]})

import json
from pathlib import Path

import pytest

from build.output import OutputError, write


@pytest.mark.parametrize("held", ['{"mine": 1}', "no JSON", "[1]"])
def test_what_is_no_earlier_output_stays(tmp_path: Path, held: str) -> None:
    path = tmp_path / "out.json"
    path.write_text(held)
    with pytest.raises(OutputError, match="is no earlier output of this command"):
        write(path, json.dumps({"machine": 1, "figures": 2}))
    assert path.read_text() == held


def test_an_earlier_output_is_replaced_and_a_folder_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.json"
    for number in range(2):
        write(path, json.dumps({"machine": number}))
    assert json.loads(path.read_bytes()) == {"machine": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["out.json"]


@pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
def test_no_link_is_written_through(tmp_path: Path, plant: object) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text('{"machine": 0}')
    plant(tmp_path / "out.json", theirs)  # type: ignore[operator]
    with pytest.raises(OutputError, match="move it away"):
        write(tmp_path / "out.json", '{"machine": 1}')
    assert theirs.read_text() == '{"machine": 0}'


def test_a_graph_is_not_overwritten_by_its_picture(tmp_path: Path) -> None:
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"\x08\x0aweights")
    with pytest.raises(OutputError):
        write(graph, '<svg xmlns="http://www.w3.org/2000/svg" role="img" width="760">')
    assert graph.read_bytes() == b"\x08\x0aweights"

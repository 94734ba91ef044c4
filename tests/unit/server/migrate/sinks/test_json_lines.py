import json
from pathlib import Path

from tests.unit.server.migrate.sinks.contract import FileSinkContract


class TestJsonLines(FileSinkContract):
    name = "jsonl"

    def test_a_line_holds_all_there_is_to_a_row(self, tmp_path: Path) -> None:
        self.whole(tmp_path / "a")
        lines = [json.loads(line) for line in (tmp_path / "a" / "out.jsonl").read_text().splitlines()]
        assert [set(line) for line in lines[:2]] == [
            {"id", "text", "embedding"},
            {"id", "text", "metadata", "embedding"},
        ]
        assert (lines[1]["text"], lines[1]["metadata"]) == ("text 1", {"n": 1})

"""Files of relevance in both formats, and what is none."""

from pathlib import Path

import pytest

from server.choose import judgements
from server.choose.errors import ChooseError


@pytest.mark.parametrize(
    "content",
    [
        "query-id\tcorpus-id\tscore\nq1\td 1\t2\nq1\td2\t0\n7\td2\t1\n",
        "q1\td 1\t2\r\nq1\td2\t0\r\n\r\n7\td2\t1\r\n",
        "\ufeffq1\t0\td 1\t2\nq1\t0\td2\t0\n7\t0\td2\t1",
    ],
    ids=["BEIR", "no header, Windows", "TREC"],
)
def test_both_formats_are_read(tmp_path: Path, content: str) -> None:
    path = tmp_path / "qrels.tsv"
    path.write_text(content, "utf-8", newline="")
    assert judgements.read(path) == {"q1": {"d 1": 2, "d2": 0}, "7": {"d2": 1}}


def test_trec_s_columns_may_be_separated_by_spaces(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q1 0  d1   3\n", "utf-8")
    assert judgements.read(tmp_path / "qrels") == {"q1": {"d1": 3}}


@pytest.mark.parametrize("first", ["", "query\ttext\tgrade\n"])
def test_a_grade_with_a_point_is_no_header(tmp_path: Path, first: str) -> None:
    (tmp_path / "qrels").write_text(f"{first}q1\td1\t0.5\nq2\td1\t1.0\n", "utf-8")
    assert judgements.read(tmp_path / "qrels") == {"q1": {"d1": 0.5}, "q2": {"d1": 1.0}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no judgements"),
        (b"query-id\tcorpus-id\tscore\n", "holds no judgements"),
        (b"q\td\t0\n", "every grade is 0"),
        (b"q\td\t1\nq\td\n", "line 2: expected"),
        (b"q\td\t1\nq\td\tmuch\n", "line 2: expected"),
        (b"q\td\tnan\n", "line 1: expected"),
        (b"q\td\t1\nq\td\t2\n", "line 2: q and d are judged twice"),
        (b"q\t\xff\t1\n", "is not UTF-8"),
    ],
)
def test_what_is_no_relevance_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "qrels.tsv").write_bytes(content)
    with pytest.raises(ChooseError, match=said):
        judgements.read(tmp_path / "qrels.tsv")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ChooseError, match="no such file"):
        judgements.read(tmp_path / "none.tsv")

from pathlib import Path

from server.migrate.job import sample
from tests.unit.server.migrate.sinks.rows import rows


def test_the_first_rows_and_about_one_in_a_hundred_are_kept_whatever_the_windows(tmp_path: Path) -> None:
    whole = sample.lines(rows(0, 5000))
    assert whole == b"".join(sample.lines(rows(start, start + 500)[-500:]) for start in range(0, 5000, 500))
    assert 45 <= whole.count(b"\n") <= 100
    (tmp_path / "kept").write_bytes(whole)
    assert [place for place, _, _ in sample.draw(tmp_path / "kept")][: sample.LEAST] == list(range(sample.LEAST))


def test_what_is_drawn_is_bounded_the_same_each_time_and_from_all_over(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("".join(f'[{place}, "id", "text"]\n' for place in range(20 * sample.MOST)))
    drawn = sample.draw(kept)
    assert drawn == sample.draw(kept)
    assert len(drawn) == len(set(drawn)) == sample.MOST
    late = sum(place >= 10 * sample.MOST for place, _, _ in drawn)
    assert 0.4 < late / sample.MOST < 0.6

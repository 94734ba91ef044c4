from pathlib import Path

import numpy as np

from server.migrate.pipeline.vector_memo import SPARE, VectorMemo


def keys(*numbers: int) -> list[bytes]:
    return [b"%016d" % number for number in numbers]


def vectors(*numbers: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array([[number, -number] for number in numbers], np.float32)


def held(memo: VectorMemo, count: int) -> set[int]:
    return {int(key) for key in memo.find(keys(*range(count)))}


def test_vectors_come_back_as_they_went_in(tmp_path: Path) -> None:
    memo = VectorMemo(tmp_path / "memo", 2, 0)
    memo.keep(keys(3, 4), vectors(3, 4))
    hits = memo.find(keys(4, 5))
    assert list(hits) == keys(4)
    assert hits[keys(4)[0]].tolist() == [4, -4]
    memo.close()


def test_the_oldest_go_first(tmp_path: Path) -> None:
    memo = VectorMemo(tmp_path / "memo", 2, 0, entries=4)
    memo.keep(keys(*range(6)), vectors(*range(6)))
    assert held(memo, 10) == {2, 3, 4, 5}
    memo.close()


def test_an_interrupted_window_finds_what_it_found_before(tmp_path: Path) -> None:
    memo = VectorMemo(tmp_path / "memo", 2, 0, entries=4)
    memo.keep(keys(*range(6)), vectors(*range(6)))
    on_record = memo.computed
    # The next window writes as much as allowed, and is killed before it is journaled.
    later = range(100, 100 + SPARE)
    memo.keep(keys(*later), vectors(*later))
    memo.close()
    again = VectorMemo(tmp_path / "memo", 2, on_record, entries=4)
    assert held(again, 10) == {2, 3, 4, 5}
    assert again.find(keys(5))[keys(5)[0]].tolist() == [5, -5]
    again.close()


def test_the_file_stays_within_its_bound(tmp_path: Path) -> None:
    memo = VectorMemo(tmp_path / "memo", 2, 0, entries=4)
    for start in range(0, 6 * SPARE, SPARE):
        memo.keep(keys(*range(start, start + SPARE)), vectors(*range(start, start + SPARE)))
    assert (tmp_path / "memo").stat().st_size <= (4 + SPARE) * 64
    memo.close()


def test_a_damaged_vector_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "memo"
    memo = VectorMemo(path, 2, 0)
    memo.keep(keys(1, 2), vectors(1, 2))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert held(memo, 5) == {1}
    memo.close()

import os
from pathlib import Path

import pytest

from server.batching.stream_plan import StreamTrial
from server.service import startup
from server.service.loaded_model import LoadedModel
from server.service.startup import load, start_engine
from server.service.stream_cache import StreamCache
from server.settings import resolve
from tests.unit.server import tiny

TRIALS = [StreamTrial(1, 0.01, 100.0), StreamTrial(2, 0.02, 150.0)]


def loaded(models_dir: Path, **given: str) -> LoadedModel:
    return load(resolve({"MODELS_DIR": str(models_dir), "MODEL": tiny.NAME, "DEVICE": "cpu", "THREADS": "2"} | given))


def test_what_was_found_is_kept_for_such_a_machine(models_dir: Path) -> None:
    cache = StreamCache(loaded(models_dir), 10**9)
    assert cache.read() is None
    assert cache.write(2, TRIALS)
    assert cache.read() == 2
    assert StreamCache(loaded(models_dir), 2 * 10**9).read() is None
    assert StreamCache(loaded(models_dir, THREADS="3"), 10**9).read() is None
    assert StreamCache(loaded(models_dir, LONGEST_TEXT_S="1"), 10**9).read() is None
    assert [path.name for path in models_dir.glob(".*streams*")] == []


def test_a_file_of_another_kind_is_neither_read_nor_replaced(models_dir: Path) -> None:
    cache = StreamCache(loaded(models_dir), None)
    for content in (b"my notes", b'{"streams": 2}', b"\xff" * 100_000):
        cache.path.write_bytes(content)
        assert cache.read() is None
        assert not cache.write(2, TRIALS)
        assert cache.path.read_bytes() == content
    cache.path.unlink()
    mine = models_dir / "mine"
    assert StreamCache(loaded(models_dir), None).write(2, TRIALS)
    cache.path.rename(mine)
    cache.path.symlink_to(mine)
    assert cache.read() is None
    assert not cache.write(1, TRIALS)
    cache.path.unlink()
    os.mkfifo(cache.path)
    assert cache.read() is None


def test_more_streams_than_threads_are_not_believed(models_dir: Path) -> None:
    cache = StreamCache(loaded(models_dir), None)
    assert cache.write(9, TRIALS)
    assert cache.read() is None


def test_a_folder_that_cannot_be_written_is_no_error(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    cache = StreamCache(loaded(models_dir), None)
    monkeypatch.setattr("server.service.stream_cache.os.open", full)
    assert not cache.write(2, TRIALS)


def test_a_long_search_is_not_repeated(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "KEEP_S", -1.0)
    first = start_engine(loaded(models_dir))[1].pace.streams
    cache = StreamCache(loaded(models_dir), startup.memory_limit(loaded(models_dir).settings))
    assert cache.read() == first
    assert cache.write(2, TRIALS)
    again = loaded(models_dir)
    monkeypatch.setattr("server.service.stream_search.next_streams", None)  # would fail if it searched
    assert start_engine(again)[1].pace.streams == 2

"""IO binding on a real CPU session; the binding is the same on every device."""

import numpy as np
import onnxruntime
import pytest

from server.inference import io_binding
from server.inference.engine import OUTPUT, pad
from server.inference.io_binding import BoundSession, Buffer
from server.model.artifact import Artifact
from tests.unit.server import tiny

TEXTS = [[[1, 3, 2]], [[1, 4, 4, 4, 5, 10, 2], [1, 5, 2], [1, 11, 12, 2]], [[1, 5, 2]]]


@pytest.fixture
def session(artifact: Artifact) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(artifact.model_path, providers=["CPUExecutionProvider"])


def feeds(sequences: list[list[int]]) -> dict[str, io_binding.Array]:
    ids, mask = pad(sequences)
    return {"input_ids": ids, "attention_mask": mask}


def test_batches_of_any_shape_go_through_the_same_buffers(session: onnxruntime.InferenceSession) -> None:
    bound = BoundSession(session, tiny.DIMENSION)
    for sequences in TEXTS:
        (vectors,) = bound.run([OUTPUT], feeds(sequences))
        (expected,) = session.run([OUTPUT], feeds(sequences))
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors, expected)


def test_a_buffer_grows_and_keeps_its_memory_while_it_is_large_enough() -> None:
    buffer = Buffer()
    first = buffer.view((2, 3), np.int64)
    assert np.shares_memory(first, buffer.view((4,), np.float32))
    large = buffer.view((3 * io_binding.START_BYTES,), np.uint8)
    large[...] = 7
    assert large.size == 3 * io_binding.START_BYTES
    assert not np.shares_memory(first, large)
    assert np.shares_memory(large, buffer.view((2,), np.int64))


def test_what_the_session_raises_comes_through(session: onnxruntime.InferenceSession) -> None:
    bound = BoundSession(session, tiny.DIMENSION)
    with pytest.raises(Exception, match="out of data bounds"):
        bound.run([OUTPUT], feeds([[1, 99, 2]]))
    assert bound.run([OUTPUT], feeds([[1, 3, 2]]))[0].shape == (1, tiny.DIMENSION)


class Host:
    """Page-locks arrays of at most `most` bytes."""

    def __init__(self, most: int = 2**40) -> None:
        self.most = most
        self.held: dict[int, int] = {}

    def lock(self, address: int, size: int) -> bool:
        if size > self.most:
            return False
        self.held[address] = size
        return True

    def unlock(self, address: int) -> None:
        del self.held[address]


def test_every_buffer_is_page_locked_where_that_can_be_had(session: onnxruntime.InferenceSession) -> None:
    host = Host()
    bound = BoundSession(session, tiny.DIMENSION, host)
    assert not bound.locked
    (vectors,) = bound.run([OUTPUT], feeds(TEXTS[1]))
    assert bound.locked
    assert host.held[vectors.ctypes.data] == io_binding.START_BYTES
    assert len(host.held) == 3


def test_a_buffer_that_grows_lets_go_of_what_was_locked() -> None:
    host = Host()
    buffer = Buffer(host)
    for size in (1, 3 * io_binding.START_BYTES):
        buffer.view((size,), np.uint8)
    assert list(host.held.values()) == [4 * io_binding.START_BYTES]


def test_memory_that_cannot_be_locked_serves_all_the_same(session: onnxruntime.InferenceSession) -> None:
    host = Host(most=0)
    bound = BoundSession(session, tiny.DIMENSION, host)
    assert bound.run([OUTPUT], feeds(TEXTS[0]))[0].shape == (1, tiny.DIMENSION)
    assert (bound.locked, host.held) == (False, {})

import pytest

from server.model import manifest
from server.model.artifact import Artifact
from tests.unit.server import tiny


def test_int8_ranges_are_one_for_each_number_of_dimensions(artifact: Artifact) -> None:
    assert artifact.manifest.int8_range(1) is None
    described = manifest.encode(artifact.manifest)
    ranges = b"[%b]" % b", ".join([b"0.5"] * tiny.DIMENSION)
    with_ranges = manifest.decode(described.replace(b"{", b'{"int8_ranges": %b,' % ranges, 1))
    assert with_ranges.int8_range(tiny.DIMENSION) == 0.5
    assert manifest.decode(manifest.encode(with_ranges)) == with_ranges
    for wrong in (b"[0.5]", ranges.replace(b"0.5", b"0", 1), ranges.replace(b"0.5", b"1.5", 1)):
        with pytest.raises(ValueError, match="int8_ranges"):
            manifest.decode(described.replace(b"{", b'{"int8_ranges": %b,' % wrong, 1))

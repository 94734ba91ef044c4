"""The origin of a build's graph: an export of the model's weights, or the model's own ONNX file.

Each brings its own libraries, so each is imported only where it is used.
"""

from pathlib import Path
from typing import Protocol

import onnx_ir as ir

from build.expected import SourceModel
from build.inspection import Reading


class Origin(Protocol):
    """One model of one origin."""

    @property
    def tools(self) -> tuple[str, ...]:
        """Distributions that the result depends on, beside those of every build."""

    def source(self) -> SourceModel:
        """Load the model that vectors are compared with.

        Raises:
            BuildError: it cannot be loaded.
        """

    def graph(self) -> tuple[ir.Model, list[str]]:
        """Return the graph anew, the hidden states its only output, and the names of the passes applied.

        Raises:
            BuildError: there is none.
        """

    def causes(self) -> list[str]:
        """Return what else may explain that the graph's vectors are not the source's."""

    def notes(self) -> list[str]:
        """Return what users should know of this origin."""


def open_origin(reading: Reading, scratch: Path) -> Origin:
    """Open what was read.

    Raises:
        BuildError: the model's own graph is not one to build from.
    """
    if reading.graph is not None:
        from build.from_graph import FromGraph  # noqa: PLC0415 - of the build's second environment

        return FromGraph(reading, scratch)
    from build.from_weights import FromWeights  # noqa: PLC0415 - imports torch

    return FromWeights(reading, scratch)

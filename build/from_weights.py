"""A build from weights: exported with torch, and compared with sentence-transformers."""

from pathlib import Path

import onnx_ir as ir

from build import graph_files
from build.exporters.optimum_onnx import run_optimum
from build.inspection import Reading
from build.reference import Reference, missing_weights


class FromWeights:
    """The weights of one model; the export is written to `scratch`."""

    tools = ("optimum", "optimum-onnx", "sentence-transformers", "torch")

    def __init__(self, reading: Reading, scratch: Path) -> None:
        self._reading = reading
        self._scratch = scratch

    def source(self) -> Reference:
        """Load the model in sentence-transformers.

        Raises:
            BuildError: it cannot be loaded.
        """
        return Reference(self._reading.snapshot, self._reading.settings)

    def graph(self) -> tuple[ir.Model, list[str]]:
        """Export the encoder, the first time; tensors are loaded lazily from `scratch`.

        Raises:
            BuildError: it cannot be exported.
        """
        path = self._scratch / "model.onnx"
        if not path.exists():
            run_optimum(self._reading.settings.encoder, self._scratch)
        return graph_files.load(path), []

    def causes(self) -> list[str]:
        """Name the weights that no file has."""
        encoder = self._reading.settings.encoder
        names = missing_weights(encoder)
        if not names:
            return []
        return [
            f"{len(names)} of the encoder's weights are in none of the files in {encoder.folder}, such as {names[0]}: "
            "transformers initializes them at random. Fetch the weights again, or save them under the names that it "
            "expects"
        ]

    def notes(self) -> list[str]:
        """Nothing."""
        return []

"""optimum-onnx: traces the model of transformers with torch."""

import warnings
from pathlib import Path

import optimum.utils.logging
import transformers
from optimum.exporters.onnx import main_export

from build.errors import BuildError
from build.sources.snapshot import Snapshot


def run_optimum(snapshot: Snapshot, scratch: Path) -> None:
    """Write optimum's export, `model.onnx` with the encoder's hidden states as output, to `scratch`.

    Raises:
        BuildError: transformers or optimum cannot export this model.
    """
    # The user cannot act on these libraries' warnings (deprecated arguments, traced constants).
    transformers.utils.logging.set_verbosity_error()
    optimum.utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            main_export(
                str(snapshot.folder),
                scratch,
                task="feature-extraction",
                library_name="transformers",
                do_validation=False,
                trust_remote_code=False,
            )
        except Exception as error:  # the library raises any type
            raise BuildError(f"{snapshot.id} cannot be exported to ONNX: {error}") from error

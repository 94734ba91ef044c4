"""The model that a job uses: opened and described first, loaded only once the job is known to run."""

from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from server.inference.engine import Vectors
from server.migrate.errors import MigrateError
from server.migrate.job.journal import DTYPE, SCALE, SPACE
from server.migrate.options import Options
from server.migrate.pipeline.parallel_engine import ParallelEngine
from server.migrate.pipeline.prepare import Preparer
from server.model.artifact import find_verdict, read_manifest
from server.model.output_types import convert
from server.service.embed_request import Asker
from server.service.loaded_model import LoadedModel
from server.service.startup import load, start_engine
from server.settings import Settings, resolve


def settings_of(options: Options, environ: Mapping[str, str]) -> Settings:
    """Resolve the server's settings, with the overrides given as flags.

    Raises:
        SettingsError: a value cannot be used.
    """
    return resolve({**environ, **options.settings})


def rest_of_verdict(options: Options, settings: Settings) -> Iterator[str]:
    """Yield which flags would write vectors as `make choose` found them, if QUANTIZATION=chosen and they are not given.

    Raises:
        StartError: there is no verdict.
    """
    if settings.quantization != "chosen":
        return
    chosen = find_verdict(settings.models_dir, settings.model)
    whole = read_manifest(settings.models_dir, settings.model).dimension
    flags = []
    if options.output_dtype != chosen.output_dtype:
        flags.append(f"--output-dtype {chosen.output_dtype}")
    if (options.dimensions or whole) != chosen.dimensions:
        flags.append(f"--dimensions {chosen.dimensions}")
    if flags:
        yield (
            f"QUANTIZATION=chosen sets the precision alone, {chosen.precision}. For what `make choose` found "
            f"add {' '.join(flags)}"
        )


def start_runner(loaded: LoadedModel) -> tuple[ParallelEngine, int]:
    """Load and warm up the graph of an opened model; return its engine and the number of tokens per run.

    Raises:
        StartError: it cannot be loaded.
    """
    engine, warm = start_engine(loaded)
    return ParallelEngine(engine, warm.pace.streams), warm.pace.batch_tokens


class JobModel:
    """A model whose tokenizer is loaded and whose graph is loaded, and verified, later by `start`."""

    def __init__(self, options: Options, settings: Settings) -> None:
        """Open the model that `settings` select.

        Raises:
            StartError: it cannot be used as set.
            InvalidError: it has no such prompt, fewer dimensions than requested, or no vectors of that output type.
        """
        self._loaded = load(settings)
        self.manifest = self._loaded.artifact.manifest
        self.precision = self._loaded.choice.precision
        self.space = self._loaded.artifact.space
        asker = Asker(settings, self.manifest)
        # A corpus is documents unless told otherwise.
        type_ = options.input_type or (None if options.prompt_name else "document")
        self.prompt = asker.prompt(type_, options.prompt_name)
        self.dimensions = asker.dimensions(options.dimensions)
        self.output = asker.output(options.output_dtype, False, "output_dtype", self.dimensions)
        self.preparer = Preparer(self._loaded.tokenizer, self.prompt, options.chunk, settings.max_text_chars)
        self._check_chunks(options)

    @property
    def dimension(self) -> int:
        """Number of components of an output vector."""
        return self.dimensions or self.manifest.dimension

    def encoded(self, vectors: Vectors) -> NDArray[Any]:
        """Convert vectors [rows, dimension] to the job's output type."""
        return convert(vectors, self.output.kind, self.output.limit)

    def described(self) -> dict[str, str]:
        """What determines the vectors, as the journal records it."""
        manifest = self.manifest
        graph, *weights = (file.sha256 for file in self._loaded.artifact.variant.files)
        return {
            "model": ", ".join([f"{manifest.name}, graph SHA-256 {graph}", *(f"weights {one}" for one in weights)]),
            "tokenizer": f"SHA-256 {manifest.tokenizer.sha256}",
            "precision": self.precision,
            SPACE: self.space,
            "device": self._loaded.choice.device,
            "prompt": repr(self.prompt),
            DTYPE: self.output.kind.name,
            **self.output.marks(DTYPE, SCALE),
        }

    def start(self) -> tuple[ParallelEngine, int]:
        """Load and warm up the graph; return its engine and the number of tokens per run.

        Raises:
            StartError: it cannot be loaded.
        """
        return start_runner(self._loaded)

    def _check_chunks(self, options: Options) -> None:
        if options.chunk is None:
            return
        around = len(self._loaded.tokenizer.encode(["a"], self.prompt)[0].ids) - 1
        room = self.manifest.max_tokens - around
        if options.chunk.tokens > room:
            raise MigrateError(f"--chunk {options.chunk.tokens}: the model has room for {room} tokens of text")

"""The model under test: its manifest, and the task that tells a worker how to load a variant."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import workloads
from bench.contenders import Task
from bench.process import ROOT
from bench.workloads import Vocabulary, Workload
from server.model.artifact import read_manifest
from server.model.manifest import ADDED_LAYERS, FOR_CUDA, PRECISIONS, Manifest, Precision, VariantName
from server.model.tokenization import Tokenizer

BATCH_TOKENS = 1024
_CUDA = "-cuda"


@dataclass(frozen=True)
class BenchSubject:
    """A built model and the number of threads for every contender."""

    manifest: Manifest
    models_dir: Path
    threads: int

    @property
    def precisions(self) -> list[Precision]:
        """The precisions it was built in, most exact first."""
        return [precision for precision in PRECISIONS if precision in self.manifest.variants]

    @property
    def on_cuda(self) -> list[VariantName]:
        """Its CUDA-only graphs, most exact first."""
        return [name for name in FOR_CUDA.values() if name in self.manifest.variants]

    @property
    def batch_tokens(self) -> int:
        """Maximum tokens per run of our variants: enough for full speed on any CPU."""
        return max(BATCH_TOKENS, self.manifest.max_tokens)

    @property
    def cache(self) -> Path:
        """Folder for the peers' converted models; separate for each source revision."""
        return ROOT / ".cache" / "bench" / f"{self.manifest.name}-{self.manifest.source.revision[:19]}"

    @property
    def vocabulary(self) -> Vocabulary:
        """Token ids for synthetic workloads."""
        return workloads.read_vocabulary(self._tokenizer_path)

    def words(self, most: int) -> list[str]:
        """Return at most `most` one-token words for synthetic texts."""
        return workloads.read_words(self._tokenizer_path, most)

    def task(self, variant: str, source: str = "") -> Task:
        """Return the task for loading a variant; `source` is the folder of the original weights."""
        return Task(
            model=self.manifest.name,
            precision=variant.removesuffix(_CUDA),
            device="cuda" if variant.endswith(_CUDA) else "cpu",
            threads=self.threads,
            models_dir=str(self.models_dir),
            batch_tokens=self.batch_tokens,
            dimension=self.manifest.dimension,
            pooling=self.manifest.pooling,
            source=source,
            cache=str(self.cache),
            layers=ADDED_LAYERS in self.manifest.variants["fp32"].passes,
        )

    def json(self) -> dict[str, Any]:
        """Return the model's entry in a report."""
        source = self.manifest.source
        return {
            "model": self.manifest.name,
            "source": {"id": source.id, "revision": source.revision},
            "tools": self.manifest.tools,
            "threads": self.threads,
        }

    def workloads(self, names: tuple[str, ...]) -> list[Workload]:
        """Return the named workloads, without those longer than the model's maximum."""
        made = workloads.make(names, self.vocabulary)
        return [workload for workload in made if workload.longest <= self.manifest.max_tokens]

    def largest_batch(self) -> list[list[int]]:
        """Return the largest batch: texts of maximum length that fill `batch_tokens`."""
        token = self.vocabulary.ordinary[0]
        return [[token] * self.manifest.max_tokens] * (self.batch_tokens // self.manifest.max_tokens)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Tokenize texts as the server does."""
        tokenizer = Tokenizer(self._tokenizer_path, self.manifest.max_tokens)
        return [encoded.ids for encoded in tokenizer.encode(texts)]

    @property
    def _tokenizer_path(self) -> Path:
        return self.models_dir / self.manifest.tokenizer.file


def open_subject(models_dir: Path, model: str, threads: int) -> BenchSubject:
    """Read the manifest of a built model.

    Raises:
        StartError: the model has not been built.
    """
    return BenchSubject(read_manifest(models_dir, model), models_dir.resolve(), threads)

"""The model that is measured: what its manifest says, and what a worker needs to know to load a variant."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import workloads
from bench.contenders import Task
from bench.process import ROOT
from bench.workloads import Vocabulary, Workload
from server.model.artifact import read_manifest
from server.model.manifest import FOR_CUDA, PRECISIONS, Manifest, Precision, VariantName
from server.model.tokenization import Tokenizer

BATCH_TOKENS = 1024
_CUDA = "-cuda"


@dataclass(frozen=True)
class Subject:
    """A built model and the number of threads that every contender gets."""

    manifest: Manifest
    models_dir: Path
    threads: int

    @property
    def precisions(self) -> list[Precision]:
        """The precisions it was built in, the most exact first."""
        return [precision for precision in PRECISIONS if precision in self.manifest.variants]

    @property
    def on_cuda(self) -> list[VariantName]:
        """Its graphs for CUDA alone, the most exact first."""
        return [name for name in FOR_CUDA.values() if name in self.manifest.variants]

    @property
    def batch_tokens(self) -> int:
        """Tokens in one run of our variants: enough for full speed on any CPU."""
        return max(BATCH_TOKENS, self.manifest.max_tokens)

    @property
    def cache(self) -> Path:
        """Where conversions for the peers are kept, anew for another revision."""
        return ROOT / ".cache" / "bench" / f"{self.manifest.name}-{self.manifest.source.revision[:19]}"

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that workloads are made of."""
        return workloads.read_vocabulary(self._tokenizer_path)

    def words(self, most: int) -> list[str]:
        """Words of which texts can be made, one token each."""
        return workloads.read_words(self._tokenizer_path, most)

    def task(self, variant: str, source: str = "") -> Task:
        """What a worker needs to load this model in a variant; `source` is the folder of the original weights."""
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
        )

    def json(self) -> dict[str, Any]:
        """What a report says of it."""
        source = self.manifest.source
        return {
            "model": self.manifest.name,
            "source": {"id": source.id, "revision": source.revision},
            "tools": self.manifest.tools,
            "threads": self.threads,
        }

    def workloads(self, names: tuple[str, ...]) -> list[Workload]:
        """Make the named workloads, leaving out those with texts longer than the model reads."""
        made = workloads.make(names, self.vocabulary)
        return [workload for workload in made if workload.longest <= self.manifest.max_tokens]

    def largest_batch(self) -> list[list[int]]:
        """Texts of the greatest length that fill the server's largest batch."""
        token = self.vocabulary.ordinary[0]
        return [[token] * self.manifest.max_tokens] * (self.batch_tokens // self.manifest.max_tokens)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts, as the server makes them."""
        tokenizer = Tokenizer(self._tokenizer_path, self.manifest.max_tokens)
        return [encoded.ids for encoded in tokenizer.encode(texts)]

    @property
    def _tokenizer_path(self) -> Path:
        return self.models_dir / self.manifest.tokenizer.file


def open_subject(models_dir: Path, model: str, threads: int) -> Subject:
    """Read the manifest of a built model.

    Raises:
        StartError: it has not been built.
    """
    return Subject(read_manifest(models_dir, model), models_dir.resolve(), threads)

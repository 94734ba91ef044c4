"""The build, from a source to the files in `models/`: export, variants, fidelity, manifest, commit."""

import gc
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from build import export, fidelity, precision, preflight, progress, sentence, sources, texts
from build.sources.snapshot import Snapshot, sha256
from build.workspace import Workspace, open_workspace
from server import manifest
from server.manifest import Fidelity, File, Manifest, Precision, Variant

TOOLS = (
    "onnx",
    "onnx-ir",
    "onnxruntime",
    "onnxscript",
    "optimum",
    "optimum-onnx",
    "tokenizers",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class Plan:
    """What to build: the user's words, parsed."""

    model: str
    models_dir: Path
    cache: Path
    precisions: tuple[Precision, ...]
    texts: Path = texts.OWN
    revision: str | None = None
    preflight: bool = True


@dataclass(frozen=True)
class Job:
    """One build under way: the plan, and what its source turned out to be."""

    plan: Plan
    snapshot: Snapshot
    settings: sentence.Sentence
    architecture: str
    space: Workspace

    def staged(self, suffix: str) -> Path:
        """The staged file `<model name><suffix>`."""
        return self.space.staged / f"{self.snapshot.name}{suffix}"


@dataclass(frozen=True)
class Draft:
    """A variant's file before its fidelity is known."""

    path: Path
    precision: Precision
    passes: list[str]


def build(plan: Plan) -> Path:
    """Build every variant of one model and return the path of its manifest.

    Raises:
        BuildError: anything that keeps the build from ending; the models in place are untouched.
    """
    plan.cache.mkdir(parents=True, exist_ok=True)
    chosen = texts.read(plan.texts)
    with progress.step(f"source {plan.model}"):
        snapshot = sources.resolve(plan.model, plan.cache, plan.revision)
        settings = sentence.read(snapshot)
        architecture = export.check_encoder(snapshot)
    with open_workspace(plan.models_dir, snapshot.name) as space:
        if plan.preflight:
            preflight.check(snapshot, plan.models_dir)
        job = Job(plan, snapshot, settings, architecture, space)
        made = _manifest(job, _variants(job), chosen)
        job.staged(".json").write_bytes(manifest.encode(made))
        space.commit()
    return plan.models_dir / f"{snapshot.name}.json"


def _variants(job: Job) -> list[Draft]:
    with progress.step("export fp32"):
        model, passes = export.export(job.snapshot, job.settings, job.space.scratch)
        export.tokenizer(job.snapshot, job.settings).save(str(job.staged(".tokenizer.json")))
        drafts = [_save(job, model, "fp32", passes)]
    for wanted in job.plan.precisions:
        if wanted == "fp32":
            continue
        with progress.step(f"convert {wanted}"):
            converted, more = precision.convert(model, wanted)
            drafts.append(_save(job, converted, wanted, passes + more))
            del converted
            gc.collect()
    return drafts


def _save(job: Job, model: ir.Model, wanted: Precision, passes: list[str]) -> Draft:
    path = job.staged(".onnx" if wanted == "fp32" else f".{wanted}.onnx")
    precision.save(model, path)
    return Draft(path, wanted, passes)


def _manifest(job: Job, drafts: list[Draft], chosen: texts.Texts) -> Manifest:
    source = job.snapshot
    dimension = int(source.json("config.json").get("hidden_size") or source.json("config.json")["dim"])
    measured = _measure(job, drafts, chosen, dimension)
    tokenizer = job.staged(".tokenizer.json")
    return Manifest(
        schema=manifest.SCHEMA,
        name=source.name,
        source=manifest.Source(source.kind, source.id, source.revision, source.licence, source.files),
        architecture=job.architecture,
        dimension=dimension,
        max_tokens=job.settings.max_tokens,
        pooling=job.settings.pooling,
        source_normalizes=job.settings.normalizes,
        prompts=job.settings.prompts,
        tokenizer=File(tokenizer.name, tokenizer.stat().st_size, sha256(tokenizer)),
        variants={draft.precision: _variant(draft, measured[draft.precision]) for draft in drafts},
        fidelity_texts=manifest.Texts(len(chosen.items), chosen.sha256),
        tools={tool: importlib.metadata.version(tool) for tool in TOOLS},
    )


def _variant(draft: Draft, found: Fidelity) -> Variant:
    path = draft.path
    return Variant(path.name, path.stat().st_size, sha256(path), draft.precision, draft.passes, found)


def _measure(job: Job, drafts: list[Draft], chosen: texts.Texts, dimension: int) -> dict[Precision, Fidelity]:
    sequences = fidelity.tokenize(job.staged(".tokenizer.json"), job.settings.max_tokens, chosen.items)
    with progress.step("fidelity of the source in torch"):
        to_source = fidelity.source_vectors(job.snapshot, job.settings, chosen.items, sequences, "torch")
    found: dict[Precision, Fidelity] = {}
    to_fp32 = to_source
    for draft in drafts:
        with progress.step(f"fidelity of {draft.precision}"):
            vectors = fidelity.graph_vectors(draft.path, dimension, sequences, draft.precision)
            to_fp32 = vectors if draft.precision == "fp32" else to_fp32
            found[draft.precision] = Fidelity(
                to_fp32=fidelity.similarity(vectors, to_fp32), to_source=fidelity.similarity(vectors, to_source)
            )
            progress.say(fidelity.line(draft.precision, found[draft.precision]))
    return found

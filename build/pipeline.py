"""The build, from a source to the files in `models/`: export, variants, fidelity, manifest, commit."""

import gc
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import onnx_ir as ir

from build import export, fidelity, preflight, progress, sentence, sources, texts, variants
from build.passes import apply
from build.passes.stand_in import StandInPass
from build.sources.snapshot import Snapshot
from build.workspace import Workspace, open_workspace
from server.model import manifest
from server.model.artifact import sha256
from server.model.manifest import FOR_CUDA, Fidelity, File, Manifest, Precision, Variant, VariantName

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
class BuildPlan:
    """What to build: the user's words, parsed."""

    model: str
    models_dir: Path
    cache: Path
    wanted: tuple[VariantName, ...]
    fidelity_texts: Path = texts.OWN
    calibration_texts: Path = texts.CALIBRATION
    reduce_range: bool = False
    revision: str | None = None
    preflight: bool = True


@dataclass(frozen=True)
class BuildJob:
    """One build under way: the plan, and what its source turned out to be."""

    plan: BuildPlan
    snapshot: Snapshot
    settings: sentence.Sentence
    architecture: str
    space: Workspace

    @property
    def dimension(self) -> int:
        """Components of a vector (DistilBERT calls its hidden size `dim`)."""
        config = self.snapshot.json("config.json")
        return int(config.get("hidden_size") or config["dim"])

    def staged(self, suffix: str) -> Path:
        """The staged file `<model name><suffix>`."""
        return self.space.staged / f"{self.snapshot.name}{suffix}"


@dataclass(frozen=True)
class Draft:
    """A variant's file before its fidelity is known."""

    path: Path
    name: VariantName
    passes: list[str]

    @property
    def precision(self) -> Precision:
        """The precision it computes in."""
        return cast(Precision, self.name.removesuffix("-cuda"))

    @property
    def for_cuda(self) -> bool:
        """Whether only CUDA can run it."""
        return self.name in FOR_CUDA.values()


def build(plan: BuildPlan) -> Path:
    """Build every variant of one model and return the path of its manifest.

    Raises:
        BuildError: anything that keeps the build from ending; the models in place are untouched.
    """
    plan.cache.mkdir(parents=True, exist_ok=True)
    chosen, calibration = texts.read(plan.fidelity_texts), texts.read(plan.calibration_texts)
    with progress.step(f"source {plan.model}"):
        snapshot = sources.resolve(plan.model, plan.cache, plan.revision)
        settings = sentence.read(snapshot)
        architecture = export.check_encoder(snapshot)
    with open_workspace(plan.models_dir, snapshot.name) as space:
        if plan.preflight:
            preflight.check(snapshot, plan.models_dir)
        job = BuildJob(plan, snapshot, settings, architecture, space)
        drafts, notes = _variants(job, calibration.items)
        measured = _measure(job, drafts, chosen)
        made = _manifest(
            job, {draft.name: _variant(draft, measured[draft.name]) for draft in drafts}, chosen, calibration, notes
        )
        job.staged(".json").write_bytes(manifest.encode(made))
        space.commit()
    return plan.models_dir / f"{snapshot.name}.json"


def _variants(job: BuildJob, calibration: list[str]) -> tuple[list[Draft], list[str]]:
    """Every variant's file, fp32 first, and what could not be had."""
    with progress.step("export"):
        model, passes = export.export(job.snapshot, job.settings, job.space.scratch)
        export.tokenizer(job.snapshot, job.settings).save(str(job.staged(".tokenizer.json")))
    with progress.step("pack and calibrate"):
        graphs = variants.prepare(model, passes, job.settings.pooling, _tokenize(job, calibration))
    notes = list(graphs.notes)
    drafts = []
    for wanted in job.plan.wanted:
        try:
            with progress.step(f"convert {wanted}"):
                drafts.append(_draft(job, graphs, wanted))
        except variants.NoRecipeError as error:
            notes.append(str(error))
        gc.collect()  # The parts of a graph refer to each other: its tensors would stay until some later day.
    for note in notes:
        progress.say(f"note: {note}")
    return drafts, notes


def _draft(job: BuildJob, graphs: variants.Graphs, wanted: VariantName) -> Draft:
    converted, passes = variants.convert(graphs, wanted, job.plan.reduce_range)
    path = job.staged(".onnx" if wanted == "fp32" else f".{wanted}.onnx")
    export.save(converted, path)
    return Draft(path, wanted, passes)


def _tokenize(job: BuildJob, items: list[str]) -> list[list[int]]:
    return fidelity.tokenize(job.staged(".tokenizer.json"), job.settings.max_tokens, items)


def _manifest(
    job: BuildJob, built: dict[VariantName, Variant], chosen: texts.Texts, calibration: texts.Texts, notes: list[str]
) -> Manifest:
    source, tokenizer = job.snapshot, job.staged(".tokenizer.json")
    return Manifest(
        schema=manifest.SCHEMA,
        name=source.name,
        source=manifest.ModelSource(source.kind, source.id, source.revision, source.licence, source.files),
        architecture=job.architecture,
        dimension=job.dimension,
        max_tokens=job.settings.max_tokens,
        pooling=job.settings.pooling,
        source_normalizes=job.settings.normalizes,
        prompts=job.settings.prompts,
        tokenizer=File(tokenizer.name, tokenizer.stat().st_size, sha256(tokenizer)),
        variants=built,
        fidelity_texts=manifest.FidelityTexts(len(chosen.items), chosen.sha256),
        calibration_texts=manifest.FidelityTexts(len(calibration.items), calibration.sha256),
        notes=notes,
        tools={tool: importlib.metadata.version(tool) for tool in TOOLS},
    )


def _variant(draft: Draft, found: Fidelity) -> Variant:
    path = draft.path
    device: Literal["any", "cuda"] = "cuda" if draft.for_cuda else "any"
    return Variant(path.name, path.stat().st_size, sha256(path), draft.precision, draft.passes, found, device)


def _measure(job: BuildJob, drafts: list[Draft], chosen: texts.Texts) -> dict[VariantName, Fidelity]:
    sequences = _tokenize(job, chosen.items)
    with progress.step("fidelity of the source in torch"):
        to_source = fidelity.source_vectors(job.snapshot, job.settings, chosen.items, sequences, "torch")
    found: dict[VariantName, Fidelity] = {}
    to_fp32 = to_source
    for draft in drafts:
        with progress.step(f"fidelity of {draft.name}"):
            packed = manifest.PACKED in draft.passes
            vectors = fidelity.graph_vectors(_runnable(job, draft), job.dimension, sequences, packed, draft.name)
            to_fp32 = vectors if draft.name == "fp32" else to_fp32
            found[draft.name] = Fidelity(
                to_fp32=fidelity.similarity(vectors, to_fp32), to_source=fidelity.similarity(vectors, to_source)
            )
            progress.say(fidelity.line(draft.name, found[draft.name]))
    return found


def _runnable(job: BuildJob, draft: Draft) -> Path:
    """The draft's file, or where only CUDA runs that one, the same graph with a stand-in for what the CPU lacks."""
    if not draft.for_cuda:
        return draft.path
    model, path = ir.load(draft.path), job.space.scratch / draft.path.name
    apply(model, [StandInPass()])
    export.save(model, path)
    return path

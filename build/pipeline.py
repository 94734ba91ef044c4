"""The build, from a source to the files in `models/`: export, variants, fidelity, manifest, commit."""

import gc
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from build import export, fidelity, preflight, progress, sentence, sources, texts, variants
from build.sources.snapshot import Snapshot
from build.workspace import Workspace, open_workspace
from server import manifest
from server.artifact import sha256
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
    fidelity_texts: Path = texts.OWN
    calibration_texts: Path = texts.CALIBRATION
    reduce_range: bool = False
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
    precision: Precision
    passes: list[str]


def build(plan: Plan) -> Path:
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
        job = Job(plan, snapshot, settings, architecture, space)
        drafts, notes = _variants(job, calibration.items)
        measured = _measure(job, drafts, chosen)
        made = _manifest(
            job, [_variant(draft, measured[draft.precision]) for draft in drafts], chosen, calibration, notes
        )
        job.staged(".json").write_bytes(manifest.encode(made))
        space.commit()
    return plan.models_dir / f"{snapshot.name}.json"


def _variants(job: Job, calibration: list[str]) -> tuple[list[Draft], list[str]]:
    """Every variant's file, fp32 first, and what could not be had."""
    with progress.step("export"):
        model, passes = export.export(job.snapshot, job.settings, job.space.scratch)
        export.tokenizer(job.snapshot, job.settings).save(str(job.staged(".tokenizer.json")))
    with progress.step("pack and calibrate"):
        graphs = variants.prepare(model, passes, job.settings.pooling, _tokenize(job, calibration))
    notes = list(graphs.notes)
    drafts = []
    for wanted in job.plan.precisions:
        with progress.step(f"convert {wanted}"):
            draft = _draft(job, graphs, wanted)
            gc.collect()  # The parts of a graph refer to each other: its tensors would stay until some later day.
        drafts += [draft] if draft else []
        notes += [] if draft else [f"{wanted} cannot be made from the graph as exported"]
    for note in notes:
        progress.say(f"note: {note}")
    return drafts, notes


def _draft(job: Job, graphs: variants.Graphs, wanted: Precision) -> Draft | None:
    converted = variants.convert(graphs, wanted, job.plan.reduce_range)
    if converted is None:
        return None
    path = job.staged(".onnx" if wanted == "fp32" else f".{wanted}.onnx")
    export.save(converted[0], path)
    return Draft(path, wanted, converted[1])


def _tokenize(job: Job, items: list[str]) -> list[list[int]]:
    return fidelity.tokenize(job.staged(".tokenizer.json"), job.settings.max_tokens, items)


def _manifest(
    job: Job, built: list[Variant], chosen: texts.Texts, calibration: texts.Texts, notes: list[str]
) -> Manifest:
    source, tokenizer = job.snapshot, job.staged(".tokenizer.json")
    return Manifest(
        schema=manifest.SCHEMA,
        name=source.name,
        source=manifest.Source(source.kind, source.id, source.revision, source.licence, source.files),
        architecture=job.architecture,
        dimension=job.dimension,
        max_tokens=job.settings.max_tokens,
        pooling=job.settings.pooling,
        source_normalizes=job.settings.normalizes,
        prompts=job.settings.prompts,
        tokenizer=File(tokenizer.name, tokenizer.stat().st_size, sha256(tokenizer)),
        variants={variant.precision: variant for variant in built},
        fidelity_texts=manifest.Texts(len(chosen.items), chosen.sha256),
        calibration_texts=manifest.Texts(len(calibration.items), calibration.sha256),
        notes=notes,
        tools={tool: importlib.metadata.version(tool) for tool in TOOLS},
    )


def _variant(draft: Draft, found: Fidelity) -> Variant:
    path = draft.path
    return Variant(path.name, path.stat().st_size, sha256(path), draft.precision, draft.passes, found)


def _measure(job: Job, drafts: list[Draft], chosen: texts.Texts) -> dict[Precision, Fidelity]:
    sequences = _tokenize(job, chosen.items)
    with progress.step("fidelity of the source in torch"):
        to_source = fidelity.source_vectors(job.snapshot, job.settings, chosen.items, sequences, "torch")
    found: dict[Precision, Fidelity] = {}
    to_fp32 = to_source
    for draft in drafts:
        with progress.step(f"fidelity of {draft.precision}"):
            packed = manifest.PACKED in draft.passes
            vectors = fidelity.graph_vectors(draft.path, job.dimension, sequences, packed, draft.precision)
            to_fp32 = vectors if draft.precision == "fp32" else to_fp32
            found[draft.precision] = Fidelity(
                to_fp32=fidelity.similarity(vectors, to_fp32), to_source=fidelity.similarity(vectors, to_source)
            )
            progress.say(fidelity.line(draft.precision, found[draft.precision]))
    return found

"""Makes a choice: draws the sample, computes in looks until the intervals are clear, judges, writes the results."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from server.choose import chart, evaluation, interval, judgements, material, publishing, schemes, verdict
from server.choose.asked import Asked
from server.choose.computing import TEXT_ROUNDS, Computing, rounds
from server.choose.errors import ChooseError
from server.choose.evaluation import Split
from server.choose.material import Material
from server.choose.report import ChoiceReport
from server.choose.schemes import REFERENCE
from server.choose.verdict import Cost, MeasuredScheme
from server.choose.work_folder import CHART, REPORT, WorkFolder
from server.errors import StartError
from server.inference import device
from server.migrate.errors import MigrateError
from server.migrate.inputs import open_source
from server.migrate.pipeline.prepare import Preparer
from server.migrate.sources.source import Source
from server.model.artifact import find_artifact, read_manifest
from server.model.manifest import PRECISIONS, Manifest, Precision, QualityVerdict
from server.model.tokenization import Tokenizer
from server.service.embed_request import Asker
from server.settings import Settings, resolve
from server.system import process


@dataclass(frozen=True, slots=True)
class ChoiceSubject:
    """The model, the precisions of it that this machine serves, and why others are not compared."""

    manifest: Manifest
    precisions: list[Precision]
    notes: list[str]
    tokenizer: Tokenizer
    settings: Settings

    def preparer(self, input_type: str) -> Preparer:
        """Return what tokenizes texts of a type."""
        prompt = Asker(self.settings, self.manifest).prompt(input_type, None)
        return Preparer(self.tokenizer, prompt, None, self.settings.max_text_chars)


def choose(asked: Asked, environ: Mapping[str, str]) -> tuple[ChoiceReport, list[str]]:
    """Make the choice that is asked for; return the report, and what to say about the files written.

    If nothing but the reference is within the budget, the report has no choice and the manifest stays as it is.

    Raises:
        ChooseError, MigrateError, StartError, SettingsError: nothing can be chosen.
        OSError: a file cannot be read or written.
    """
    environ = {**environ, **asked.settings, "QUANTIZATION": REFERENCE}
    subject = open_subject(resolve(environ))
    name, models_dir = subject.manifest.name, subject.settings.models_dir
    publishing.check_writable(models_dir, name)
    drawn, inputs = _draw(asked, subject)
    work = WorkFolder(asked.folder or Path(f"choose-{name}"), name, subject.manifest.dimension)
    identity = hashlib.sha256("\n".join([inputs, *_identities(subject)]).encode()).hexdigest()
    with work.lock(identity) as resumed:
        if resumed:
            process.write_error("choose: vectors of an earlier run are used\n")
        report = _measure(asked, subject, drawn, work, environ)
        work.put(REPORT, msgspec.json.format(msgspec.json.encode(report.json())) + b"\n")
        work.put(CHART, chart.draw(report).encode())
        said = [f"wrote {work.folder / REPORT} and {work.folder / CHART}"]
        if report.chosen:
            old = publishing.publish(models_dir, subject.manifest, _verdict(report, report.chosen))
            instead = f", instead of {old.precision}, {old.output_dtype}, {old.dimensions} dimensions" if old else ""
            said.append(f"wrote the verdict into {models_dir / name}.json{instead}; QUANTIZATION=chosen serves it")
    return report, said


def open_subject(settings: Settings) -> ChoiceSubject:
    """Open the model, and find the precisions that it was built in and that this machine serves.

    Raises:
        StartError: the reference is not among them.
    """
    first = find_artifact(settings.models_dir, settings.model, REFERENCE)
    able: list[Precision] = []
    notes: list[str] = []
    for precision in (name for name in PRECISIONS if name in first.manifest.variants):
        try:
            choice = device.detect(settings.device, precision)
            find_artifact(settings.models_dir, settings.model, precision, cuda=choice.device == "cuda")
            able.append(precision)
        except StartError as error:
            if precision == REFERENCE:
                raise
            notes.append(f"{precision} is not compared: {error}")
    if first.manifest.int8_range(1) is None:
        notes.append("int8 output is not compared: the model was built without its ranges; build it again")
    manifest = read_manifest(settings.models_dir, settings.model)
    tokenizer = Tokenizer(first.tokenizer_path, manifest.max_tokens, manifest.unpooled_by_prompt)
    return ChoiceSubject(manifest, able, notes, tokenizer, settings)


def _draw(asked: Asked, subject: ChoiceSubject) -> tuple[Material, str]:
    """Draw the sample; return it, and an identity of the inputs."""
    judged = judgements.read(asked.qrels) if asked.qrels else None
    texts = _open("--texts", asked.texts, asked)
    document, query = subject.preparer("document"), subject.preparer("query")
    parts = [texts.identity(), str(asked.sample), str(asked.fields), str(subject.settings.max_text_chars)]
    if asked.queries is None:
        drawn = material.without_queries(texts, document, asked.sample)
        return drawn, "\n".join(parts)
    queries = _open("--queries", asked.queries, asked)
    parts += [queries.identity(), str(judged)]
    if judged is None:
        drawn = material.with_queries(texts, queries, document, query, asked.sample)
    else:
        drawn = material.with_relevance((texts, queries), (document, query), judged, asked.sample)
    return drawn, "\n".join(parts)


def _open(flag: str, location: str, asked: Asked) -> Source:
    try:
        return open_source(location, asked.input_format, asked.fields)
    except MigrateError as error:
        raise ChooseError(str(error).replace("--input ", f"{flag} ")) from None


def _identities(subject: ChoiceSubject) -> list[str]:
    """What determines the vectors besides the texts: graphs, tokenizer and prompts."""
    manifest = subject.manifest
    files = [f"{file.file} {file.sha256}" for variant in manifest.variants.values() for file in variant.files]
    return [*sorted(files), manifest.tokenizer.sha256, str(sorted(manifest.prompts.items())), str(subject.precisions)]


def _measure(
    asked: Asked, subject: ChoiceSubject, drawn: Material, work: WorkFolder, environ: Mapping[str, str]
) -> ChoiceReport:
    looks = interval.looks(len(drawn.queries))
    all_rounds = rounds(drawn, looks)
    computing = Computing(work, subject.precisions, subject.manifest.dimension, environ)
    every = schemes.schemes(subject.precisions, subject.manifest.dimension, subject.manifest.int8_range)
    for number, count in enumerate(looks, 1):
        process.write_error(f"choose: {len(drawn.texts):,} texts, {count:,} of {len(drawn.queries):,} queries\n")
        computing.run(all_rounds[: TEXT_ROUNDS + number])
        vectors = {name: _split(work, name, drawn, count) for name in subject.precisions}
        measured, best = evaluation.evaluate(vectors, every, drawn.relevance[:count], len(looks))
        others = [one.losses[asked.measure] for one in measured if not one.reference]
        if clear := interval.clear(others, asked.budget):
            break
    costs = {name: _cost(work, name, subject.manifest) for name in subject.precisions}
    return ChoiceReport(
        model=subject.manifest.name,
        measure=asked.measure,
        budget=asked.budget,
        confidence=interval.CONFIDENCE * 100,
        texts=len(drawn.texts),
        queries=count,
        held_out=drawn.held_out,
        clear=clear,
        measured=measured,
        costs=costs,
        best=best,
        chosen=verdict.choose(measured, costs, asked.measure, asked.budget),
        notes=[*subject.notes, *_skipped(drawn)],
    )


def _split(work: WorkFolder, precision: Precision, drawn: Material, queries: int) -> Split:
    rows = work.read(precision, len(drawn.texts) + queries)
    return Split(rows[: len(drawn.texts)], rows[len(drawn.texts) :])


def _cost(work: WorkFolder, precision: Precision, manifest: Manifest) -> Cost:
    spent = [one for number, one in work.state.rounds.get(precision, {}).items() if number < TEXT_ROUNDS and one.texts]
    speeds = tuple(one.texts / max(one.seconds, 1e-9) for one in spent)
    size = sum(file.bytes for file in manifest.variants[precision].files)
    return Cost(speeds or (0.0,), work.state.resident.get(precision, 0), size)


def _skipped(drawn: Material) -> Sequence[str]:
    return [f"{drawn.skipped} records were left out; the first: {drawn.reason}"] if drawn.skipped else []


def _verdict(report: ChoiceReport, chosen: MeasuredScheme) -> QualityVerdict:
    loss = chosen.losses[report.measure]
    return QualityVerdict(
        precision=chosen.scheme.precision,
        output_dtype=chosen.scheme.output,
        dimensions=chosen.scheme.dimensions,
        budget=report.budget,
        measure=report.measure,
        loss=round(loss.mean, 6),
        loss_at_most=round(loss.high, 6),
        texts=report.texts,
        queries=report.queries,
    )

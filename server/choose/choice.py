"""Makes a choice: draws the sample, computes in looks until the intervals are clear, judges, writes the results."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from server.choose import chart, evaluation, interval, judgements, material, publishing, schemes, verdict
from server.choose.asked import Asked
from server.choose.computing import TEXT_ROUNDS, Computing, rounds, speeds
from server.choose.errors import ChooseError
from server.choose.evaluation import Split
from server.choose.material import Material
from server.choose.report import ChoiceReport
from server.choose.schemes import REFERENCE
from server.choose.subject import ChoiceSubject, open_subject
from server.choose.verdict import Cost, MeasuredScheme
from server.choose.work_folder import CHART, REPORT, WorkFolder
from server.migrate.errors import MigrateError
from server.migrate.inputs import open_source
from server.migrate.sources.source import Source
from server.model.manifest import Precision, QualityVerdict
from server.settings import resolve
from server.system import process


def choose(asked: Asked, environ: Mapping[str, str], show: Callable[[Iterable[str]], None]) -> ChoiceReport:
    """Make the choice that is asked for, `show` the lines of its report and then those about what was written.

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
    identity = hashlib.sha256("\n".join([inputs, *subject.identities()]).encode()).hexdigest()
    with work.lock(identity) as resumed:
        if resumed:
            process.write_error("choose: vectors of an earlier run are used\n")
        report = _measure(asked, subject, drawn, work, environ)
        work.put(REPORT, msgspec.json.format(msgspec.json.encode(report.json())) + b"\n")
        work.put(CHART, chart.draw(report).encode())
        show([*report.lines(), f"wrote {work.folder / REPORT} and {work.folder / CHART}"])
        show([_publish(report, subject, models_dir / f"{name}.json")])
    return report


def _publish(report: ChoiceReport, subject: ChoiceSubject, path: Path) -> str:
    """Write the verdict, if there is one; say what QUANTIZATION=chosen serves now."""
    if report.chosen is None:
        old = subject.manifest.chosen
        if old is msgspec.UNSET:
            return f"{path} was not changed"
        return f"{path} was not changed: QUANTIZATION=chosen still serves an earlier verdict, {old}"
    before = publishing.publish(path.parent, subject.manifest, _verdict(report, report.chosen))
    instead = (
        f", instead of {before.precision}, {before.output_dtype}, {before.dimensions} dimensions" if before else ""
    )
    return f"wrote the verdict into {path}{instead}; QUANTIZATION=chosen serves it"


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
        measured, best, unseen = evaluation.evaluate(vectors, every, drawn.relevance[:count], len(looks))
        others = [one.losses[asked.measure] for one in measured if not one.reference]
        if clear := interval.clear(others, asked.budget):
            break
    costs = _costs(work, subject, len(drawn.texts))
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
        unseen=unseen[asked.measure],
        notes=[*subject.notes, *_notes(drawn)],
    )


def _split(work: WorkFolder, precision: Precision, drawn: Material, queries: int) -> Split:
    rows = work.read(precision, len(drawn.texts) + queries)
    return Split(rows[: len(drawn.texts)], rows[len(drawn.texts) :])


def _costs(work: WorkFolder, subject: ChoiceSubject, texts: int) -> dict[Precision, Cost]:
    state = work.state
    return {
        name: Cost(
            speeds(state.rounds.get(name, {}), texts) or (0.0,), state.resident.get(name, 0), one.variant.total_bytes
        )
        for name, one in subject.served.items()
    }


def _notes(drawn: Material) -> Iterator[str]:
    if drawn.skipped:
        yield f"{drawn.skipped} records were left out; the first: {drawn.reason}"
    if drawn.asked:
        yield f"{drawn.asked} texts are not searched, because they are queries too"


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

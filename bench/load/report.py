"""`python -m bench load`: run the scenarios in sequence and collect their findings."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import host
from bench.load.finding import Finding
from bench.load.scenarios import bulk, burst, forms, idle, impatient, over_http, overload, peers, soak, start, steady
from bench.load.stage import Stage
from bench.process import WorkerError
from bench.table import Table

SCENARIOS: dict[str, Callable[[Stage], Finding]] = {
    "http": over_http.run,
    "forms": forms.run,
    "peers": peers.run,
    "start": start.run,
    "steady": steady.run,
    "overload": overload.run,
    "burst": burst.run,
    "impatient": impatient.run,
    "bulk": bulk.run,
    "idle": idle.run,
    "soak": soak.run,
}
NAMES = tuple(SCENARIOS)


@dataclass
class Loaded:
    """Each scenario's finding, and the reason for each one that failed."""

    stage: Stage
    host: dict[str, object]
    findings: dict[str, Finding]
    skipped: dict[str, str]

    def heading(self) -> str:
        """Name the model, the precision and the host."""
        subject = self.stage.subject
        line = host.line(self.host, subject.threads)
        return f"{subject.manifest.name} {self.stage.precision} on {line}; client and server share it"

    def tables(self) -> list[Table]:
        """Return each scenario's tables and a table of all verdicts."""
        named = [
            Table(f"{name}: {table.title}", table.header, table.rows)
            for name, finding in self.findings.items()
            for table in finding.tables
        ]
        return [*named, self._verdicts()]

    def json(self) -> dict[str, Any]:
        """Return all figures, raw samples included."""
        return {
            "kind": "load",
            **self.stage.subject.json(),
            "precision": self.stage.precision,
            "pace": asdict(self.stage.pace),
            "machine": self.host,
            "scenarios": {name: finding.json() for name, finding in self.findings.items()},
            "skipped": self.skipped,
        }

    def _verdicts(self) -> Table:
        rows = [
            [f"{name}: {verdict.asked}", verdict.found, "met" if verdict.met else "not met"]
            for name, finding in self.findings.items()
            for verdict in finding.verdicts
        ]
        return Table("What was asked, and what was found", ("asked", "found", ""), rows)


def run(stage: Stage, names: Sequence[str]) -> Loaded:
    """Run the named scenarios; one that fails is listed in `skipped`, and the others continue.

    Raises:
        KeyError: no scenario has that name.
    """
    described = host.describe()
    findings: dict[str, Finding] = {}
    skipped: dict[str, str] = {}
    for name in names:
        try:
            findings[name] = SCENARIOS[name](stage)
            skipped |= findings[name].skipped
        except WorkerError as error:
            skipped[name] = str(error)
    return Loaded(stage, described, findings, skipped)

"""More than can be computed, from callers who do not wait for long: what is delivered while they still do."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench import progress
from bench.load.call import MANY
from bench.load.caller import Caller
from bench.load.figures import Figures
from bench.load.finding import Finding
from bench.load.load import LoadScenario
from bench.load.service import LoadedService
from bench.load.stage import PAGES, LoadPace, Stage
from bench.load.verdict import Verdict, percent
from bench.table import Table, number

LEAST = 0.9
TEXTS = 16
# Callers that wait for their answers, enough to keep the server at work.
_CLIENTS = 8
# Patience is learned, and a queue fills, within so many times of it; answers are awaited for as long.
_WARM = 3.0


@dataclass(frozen=True)
class Trial:
    """A load of `times` what the server computes; tokens a second, `computed` from the first request to the last."""

    times: float
    patience_s: float
    announced: bool
    rate: float
    computed: float
    figures: Figures

    @property
    def callers(self) -> tuple[float, bool]:
        """What sort of callers it was."""
        return self.patience_s, self.announced


def run(stage: Stage) -> Finding:
    """Measure the capacity with callers who wait, then ask for that and for more with callers who do not."""
    trials: list[Trial] = []
    with stage.serve() as service, stage.caller() as caller:
        with progress.step("impatient: capacity"):
            patient = LoadScenario(
                PAGES, stage.pace.seconds, stage.pace.warm_s, texts=TEXTS, clients=_CLIENTS, dialect=MANY
            )
            capacity = caller.run(service, patient).loads[0].texts_per_s / TEXTS
        for patience_s, announced, times in _plan(stage.pace):
            how = "announced" if announced else "hang up"
            with progress.step(f"impatient: {times:g} times the capacity, {patience_s:g} s, {how}"):
                load = _load(stage, times * capacity, patience_s, announced=announced)
                trials.append(_try(caller, service, load, times))
    title = f"{TEXTS} texts of 200 tokens a request; {capacity:.1f} requests/s from callers who wait"
    return Finding(judge(trials), [_table(title, trials)], {"trials": [asdict(trial) for trial in trials]})


def judge(trials: Sequence[Trial]) -> list[Verdict]:
    """Decide by what is delivered to the same callers when they ask for no more than the capacity."""
    base = {trial.callers: trial.figures.tokens_per_s for trial in trials if trial.times == 1}
    shares = [
        (trial.figures.tokens_per_s / base[trial.callers] if base[trial.callers] else 0.0, trial)
        for trial in trials
        if trial.times > 1
    ]
    least, worst = min(shares, key=lambda pair: pair[0])
    said = f"{percent(least)} at {worst.times:g} times, {worst.patience_s:g} s {_how(worst)}"
    wrong = sum(_wrong(trial.figures) for trial in trials)
    return [
        Verdict(f"delivered in time at least {percent(LEAST, 0)} of that at capacity", said, least >= LEAST),
        Verdict("nothing but answers, 429 and 504", f"{wrong} others", not wrong),
    ]


def _plan(pace: LoadPace) -> list[tuple[float, bool, float]]:
    return [
        (patience_s, announced, times)
        for patience_s in pace.patience_s
        for announced in (True, False)
        for times in (1.0, *pace.overloads)
    ]


def _load(stage: Stage, rate: float, patience_s: float, *, announced: bool) -> LoadScenario:
    return LoadScenario(
        PAGES,
        stage.pace.seconds,
        stage.pace.warm_s + _WARM * patience_s,
        drain_s=_WARM * patience_s,
        texts=TEXTS,
        rate=rate,
        dialect=MANY,
        patience_s=patience_s,
        announced=announced,
    )


def _try(caller: Caller, service: LoadedService, load: LoadScenario, times: float) -> Trial:
    before = service.computed_tokens()
    found = caller.run(service, load)
    computed = (service.computed_tokens() - before) / (load.warm_s + load.seconds)
    return Trial(times, load.patience_s, load.announced, load.rate, computed, found.loads[0])


def _wrong(figures: Figures) -> int:
    good = sum(figures.outcomes[status].count for status in ("200", "429", "504") if status in figures.outcomes)
    return figures.planned - good - figures.gone - figures.unsent


def _how(trial: Trial) -> str:
    return "announced" if trial.announced else "hang up"


def _table(title: str, trials: Sequence[Trial]) -> Table:
    header = ("requests/s", "times", "patience", "computed", "delivered in time", "429", "504", "hung up")
    return Table(title, header, [_row(trial) for trial in trials])


def _row(trial: Trial) -> list[str]:
    figures = trial.figures
    refused, late = (
        number(figures.outcomes[status].count if status in figures.outcomes else 0) for status in ("429", "504")
    )
    return [
        number(trial.rate, 1),
        number(trial.times, 1),
        f"{trial.patience_s:g} s, {_how(trial)}",
        number(trial.computed),
        number(figures.tokens_per_s),
        refused,
        late,
        number(figures.gone),
    ]

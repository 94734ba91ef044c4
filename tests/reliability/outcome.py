"""Outcomes: parses the results of a piece of evidence, and combines several into a row's verdict."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KEPT, BROKEN, NOT_RUN = "kept", "not kept", "not run"
_DONE = re.compile(r"^Done (\d+) runs in (\d+) second", re.MULTILINE)
_LONGEST = 300


@dataclass(frozen=True)
class Outcome:
    """Whether a promise was kept, and the figures that show it."""

    verdict: str
    figures: str


def read(results: Path, status: int, said: str) -> Outcome:
    """Judge a command by its results file, exit status and output; without results it has failed."""
    try:
        if results.suffix == ".xml":
            return of_tests(results.read_text("utf-8"))
        if results.suffix == ".json":
            return of_load(results.read_text("utf-8"))
        return of_fuzz(said, status)
    except (OSError, ValueError, KeyError, ET.ParseError):
        return Outcome(BROKEN, f"no results, exit status {status}: {_last_line(said)}")


def of_tests(xml: str) -> Outcome:
    """Judge JUnit XML: broken if a test failed, not run if all were skipped."""
    cases = list(ET.fromstring(xml).iter("testcase"))  # noqa: S314 - written by pytest a moment ago
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [reason for case in cases if (reason := case.find("skipped")) is not None]
    figures = [f"{len(cases) - len(failed) - len(skipped):,} of {len(cases):,} runs passed"]
    figures += [f"{len(skipped):,} skipped: {_shown(skipped[0].get('message', ''))}"] if skipped else []
    figures += [f"failed: {_shown(failed[0].get('name', ''))}"] if failed else []
    figures += list(dict.fromkeys(said.get("value", "") for said in _properties(cases)))
    verdict = BROKEN if failed or not cases else NOT_RUN if len(skipped) == len(cases) else KEPT
    return Outcome(verdict, "; ".join(figures))


def of_load(text: str) -> Outcome:
    """Judge a load's JSON by the verdicts of its scenario."""
    report = json.loads(text)
    if not report["scenarios"]:
        return Outcome(BROKEN, "; ".join(f"{name}: {why}" for name, why in report["skipped"].items()))
    verdicts = [verdict for scenario in report["scenarios"].values() for verdict in scenario["verdicts"]]
    figures = [f"{one['asked']}: {one['found']}{'' if one['met'] else ' (**not met**)'}" for one in verdicts]
    return Outcome(KEPT if verdicts and all(one["met"] for one in verdicts) else BROKEN, "; ".join(figures))


def of_fuzz(said: str, status: int) -> Outcome:
    """Judge the fuzzer by its exit status and its summary line."""
    done = _DONE.search(said)
    if status or not done:
        return Outcome(BROKEN, f"exit status {status}: {_last_line(said)}")
    return Outcome(KEPT, f"{int(done[1]):,} inputs in {done[2]} s, none but taken or refused in order")


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """Judge a row by its worst outcome."""
    verdicts = {outcome.verdict for outcome in outcomes}
    worst = next((verdict for verdict in (BROKEN, NOT_RUN, KEPT) if verdict in verdicts), NOT_RUN)
    return Outcome(worst, "; ".join(outcome.figures for outcome in outcomes))


def _properties(cases: Sequence[ET.Element]) -> list[ET.Element]:
    return [said for case in cases for said in case.iter("property") if said.get("name") == "figures"]


def _last_line(said: str) -> str:
    lines = said.strip().splitlines()
    return _shown(lines[-1]) if lines else "it said nothing"


def _shown(text: str) -> str:
    plain = " ".join(text.split()).replace("|", "/")
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}…"

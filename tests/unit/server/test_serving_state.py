import pytest

from server.serving_state import DEGRADED, DRAINING, READY, STARTING, STOPPED, Phase, ServingState

# The events that lead to each phase.
WAYS: dict[Phase, tuple[str, ...]] = {
    STARTING: (),
    READY: ("begin",),
    DEGRADED: ("begin", "fail"),
    DRAINING: ("begin", "drain"),
    STOPPED: ("begin", "drain", "stop"),
}


def after(*events: str) -> ServingState:
    state = ServingState()
    for event in events:
        getattr(state, event)()
    return state


@pytest.mark.parametrize(
    ("event", "leads"),
    [
        ("begin", {STARTING: READY}),
        ("fail", {READY: DEGRADED}),
        ("recover", {DEGRADED: READY}),
        ("drain", {STARTING: DRAINING, READY: DRAINING, DEGRADED: DRAINING}),
        ("stop", dict.fromkeys(Phase, STOPPED)),
    ],
)
def test_an_event_leads_there_and_elsewhere_changes_nothing(event: str, leads: dict[Phase, Phase]) -> None:
    led = {phase: after(*way, event).phase for phase, way in WAYS.items()}
    assert led == {phase: leads.get(phase, phase) for phase in Phase}


def test_told_to_stop_is_for_good() -> None:
    told = {phase for phase, way in WAYS.items() if after(*way).stopping}
    assert told == {DRAINING, STOPPED}
    assert after("drain", "begin", "recover").stopping

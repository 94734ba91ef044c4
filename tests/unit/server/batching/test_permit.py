from server.batching.admission import Demand
from server.batching.permit import Estimates, Permit
from server.budget import Budget


def demand(tokens: int, *, small: bool = False) -> Demand:
    return Demand(tokens, tokens / 10, small, deadline=1e9)


def test_a_permit_holds_the_estimate_then_what_is_needed_then_nothing() -> None:
    queue, estimates = Budget(100), Estimates()
    permit = Permit(demand(30), queue, estimates)
    assert (queue.held, estimates.large_s, estimates.requests) == (30, 3.0, 1)
    permit.settle(demand(20))
    assert (queue.held, estimates.large_s, estimates.requests) == (20, 0.0, 0)
    permit.release()
    permit.release()
    assert queue.held == 0


def test_estimates_of_small_and_large_requests_are_apart() -> None:
    queue, estimates = Budget(100), Estimates()
    small, large = Permit(demand(1, small=True), queue, estimates), Permit(demand(40), queue, estimates)
    assert (estimates.small_s, estimates.large_s) == (0.1, 4.0)
    large.release()
    assert (estimates.small_s, estimates.large_s) == (0.1, 0.0)
    small.release()
    assert (estimates.small_s, estimates.requests) == (0.0, 0)


def test_rounding_leaves_nothing_behind() -> None:
    queue, estimates = Budget(10**6), Estimates()
    permits = [Permit(demand(tokens), queue, estimates) for tokens in (1, 3, 7)]
    for permit in permits:
        permit.release()
    assert estimates == Estimates()

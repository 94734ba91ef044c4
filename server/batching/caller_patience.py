"""Estimates how long callers wait before they hang up, from requests without a timeout of their own. Pure.

The Kaplan-Meier estimator (J. Am. Stat. Assoc. 53, 1958) of the survival function of waiting callers: a caller who was
answered is a right-censored observation. Observations decay exponentially, against a prior of fixed weight that callers
never hang up. So the estimate returns to "never" once callers stop hanging up, and a few who do have no effect.
"""

import math

# Callers who leave sooner than this are ignored: under load nobody could have been answered by then, and a port scan or
# an attacker must not lower the bound further.
FLOOR_S = 0.25
MOST_S = 60.0
# The histogram's bins grow by 10 % each; a bin stands for its lower edge.
STEP = 1.1
# A request may take until this share of callers has hung up.
LEFT = 0.2
# Weight of the prior that callers never hang up: at least five must leave before the bound becomes finite.
PATIENT = 20.0
HALF_LIFE_S = 30.0
# Maximum weight of the observations against that prior, so that many are forgotten about as quickly as few.
MOST_WEIGHT = 500.0
# After this long without a hang-up, the observations' weight is capped at QUIET_WEIGHT. So a burst of hang-ups is
# forgotten within five half-lives, even if all later callers are refused and no new observations arrive.
QUIET_S = 10.0
QUIET_WEIGHT = 80.0
# Maximum age of a cached estimate, in seconds.
FRESH_S = 0.1

_AGES = math.ceil(math.log(MOST_S / FLOOR_S) / math.log(STEP))


class Patience:
    """A decaying histogram of the ages at which callers hung up or were answered, and the bound estimated from it."""

    def __init__(self) -> None:
        self._left = [0.0] * _AGES
        self._stayed = [0.0] * _AGES
        self._weight = 0.0
        self._noted = 0.0
        self._last_left = 0.0
        self._estimate = math.inf
        self._estimated = -math.inf

    def note(self, age_s: float, now: float, *, left: bool) -> None:
        """Record a request that ended at this age: its caller hung up (`left`), or was answered."""
        if age_s < FLOOR_S:
            return
        self._decay(now)
        place = min(_AGES - 1, int(math.log(age_s / FLOOR_S) / math.log(STEP)))
        (self._left if left else self._stayed)[place] += 1.0
        self._weight += 1.0
        if left:
            self._last_left = max(self._last_left, now)

    def bound(self, now: float) -> float:
        """Return the age in seconds by which a request should be answered; infinite while callers are patient."""
        if now - self._estimated >= FRESH_S:
            self._estimated = now
            self._decay(now)
            self._estimate = self._quantile()
        return self._estimate

    def _quantile(self) -> float:
        patient = PATIENT * max(1.0, self._weight / MOST_WEIGHT)
        at_risk = patient + self._weight
        waiting = 1.0
        for place, (left, stayed) in enumerate(zip(self._left, self._stayed, strict=True)):
            waiting *= 1 - left / at_risk
            if waiting <= 1 - LEFT:
                return FLOOR_S * STEP**place
            at_risk -= left + stayed
        return math.inf

    def _decay(self, now: float) -> None:
        quiet = self._last_left + QUIET_S
        self._fade(min(now, quiet))
        if now > quiet:
            self._scale(QUIET_WEIGHT / max(QUIET_WEIGHT, self._weight))
            self._fade(now)

    def _fade(self, until: float) -> None:
        self._scale(0.5 ** (max(0.0, until - self._noted) / HALF_LIFE_S))
        self._noted = max(self._noted, until)

    def _scale(self, share: float) -> None:
        self._left = [share * count for count in self._left]
        self._stayed = [share * count for count in self._stayed]
        self._weight = sum(self._left) + sum(self._stayed)

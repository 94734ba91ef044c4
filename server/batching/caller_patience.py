"""How long callers wait before they hang up, learned from those who did not say so. Pure.

Kaplan-Meier's product-limit estimate (J. Am. Stat. Assoc. 53, 1958) of the share of callers who still wait at an age:
a caller who was answered tells only that it would have waited at least so long, which the estimate takes into account.
Observations count less as they age, against a fixed weight of callers who never hang up: so what was learned is
forgotten once nobody hangs up any more, and a few who do teach nothing.
"""

import math

# Nobody can be served sooner than this under load, so who leaves sooner tells nothing: neither a port scan nor an
# attacker can bring the bound lower.
FLOOR_S = 0.25
MOST_S = 60.0
# Ages are counted in steps of 10 %, of which the lower end is taken.
STEP = 1.1
# The age at which so many have left is what a request may take.
LEFT = 0.2
# Callers who never hang up, taken for granted: at least five must leave before anything is learned.
PATIENT = 20.0
HALF_LIFE_S = 30.0
# What was observed weighs so much at most beside them, so that many observations are forgotten about as soon as few.
MOST_WEIGHT = 500.0
# Once nobody has left for so long, what was observed weighs no more than this: a crowd that left at once is forgotten
# within five half-lives, even where all who could tell otherwise are refused meanwhile.
QUIET_S = 10.0
QUIET_WEIGHT = 80.0
# How old an estimate may be, in seconds.
FRESH_S = 0.1

_AGES = math.ceil(math.log(MOST_S / FLOOR_S) / math.log(STEP))


class Patience:
    """Ages at which callers hung up or were answered, and the age up to which most of them wait."""

    def __init__(self) -> None:
        self._left = [0.0] * _AGES
        self._stayed = [0.0] * _AGES
        self._weight = 0.0
        self._noted = 0.0
        self._last_left = 0.0
        self._estimate = math.inf
        self._estimated = -math.inf

    def note(self, age_s: float, now: float, *, left: bool) -> None:
        """Learn from a request that ended at this age: its caller left, or was answered."""
        if age_s < FLOOR_S:
            return
        self._decay(now)
        place = min(_AGES - 1, int(math.log(age_s / FLOOR_S) / math.log(STEP)))
        (self._left if left else self._stayed)[place] += 1.0
        self._weight += 1.0
        if left:
            self._last_left = max(self._last_left, now)

    def bound(self, now: float) -> float:
        """Return the age in seconds by which a request should be answered; endless while callers are patient."""
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

"""Every promise that docs/reliability.md makes, in the order in which they are run.

Loads come first: what is timed must not run while what other tests have started is still about.
"""

from tests.reliability.asked import INPUTS, MIGRATIONS, VECTORS
from tests.reliability.row import Row
from tests.reliability.served import FAULT, LOAD

PARTS = {
    "L": "Load held",
    "F": "Faults injected",
    "B": "Bad inputs",
    "C": "Correct vectors",
    "D": "Nothing lost in a migration",
}

ROWS: tuple[Row, ...] = LOAD + FAULT + INPUTS + VECTORS + MIGRATIONS

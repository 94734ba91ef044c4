"""All promises of docs/reliability.md, in execution order.

Loads run first, so that processes left running by other tests cannot distort their timings.
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

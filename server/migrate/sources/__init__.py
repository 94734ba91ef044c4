"""Input formats, one module each; every source streams its records, in the same order each time."""

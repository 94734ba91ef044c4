"""The scenarios: one module each, with `run(stage)`, which measures, and `judge(...)`, which decides and is pure."""

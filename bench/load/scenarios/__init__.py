"""The scenarios: one module each, with `run(stage)`, which measures, and `judge(...)`, a pure function."""

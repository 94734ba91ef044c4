"""Whole builds of tiny models, and what happens when they are fed rubbish or killed. Runs in `.venv-build`."""

"""Full builds of tiny models, with invalid input and with the process killed. Runs in `.venv-build`."""

"""The build stage: weights in, ONNX variants and a manifest out. Runs in `.venv-build`; the server never imports it."""

import os

import server as _server  # noqa: F401 - sets what ONNX Runtime must find when it is imported

# The Hub client reports which libraries fetch a model, unless told not to.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

"""The build stage: turn source weights into ONNX variants and a manifest. Never imported by the server."""

import os

import server as _server  # noqa: F401 - sets environment variables that ONNX Runtime reads on import

# Turn off the Hub client's telemetry.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

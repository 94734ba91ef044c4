"""The runtime: token ids in, unit vectors out, over HTTP. Holds no torch, transformers, onnx or optimum."""

import os

__version__ = "0.1.0"

# ONNX Runtime's wheels report use to their makers unless this is set before they are first imported (Privacy.md in
# the wheel); calling disable_telemetry_events() later is too late. This service sends nothing to anyone.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

"""The runtime: text embeddings over HTTP. Never imports torch, transformers, onnx or optimum."""

import os

__version__ = "0.1.0"

# ONNX Runtime's wheels send telemetry unless this is set before their first import (Privacy.md in the wheel); calling
# disable_telemetry_events() afterwards is too late.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

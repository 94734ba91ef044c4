"""The runtime: token ids in, unit vectors out, over HTTP. Holds no torch, transformers, onnx or optimum."""

__version__ = "0.1.0"

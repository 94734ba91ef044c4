"""Computes vectors from token ids with ONNX Runtime, on CPU or CUDA."""

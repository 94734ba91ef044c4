"""Token ids to vectors on ONNX Runtime, on a CPU or with CUDA."""

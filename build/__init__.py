"""The build stage: weights in, ONNX variants and a manifest out. Runs in `.venv-build`; the server never imports it."""

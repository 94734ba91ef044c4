"""Exporters: from a model's weights to an ONNX graph whose output is the encoder's hidden states."""

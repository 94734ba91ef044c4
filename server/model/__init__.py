"""The files that the build stage leaves: the manifest, the graphs and the tokenizer."""

"""The files that the build stage writes: manifest, graphs and tokenizer."""

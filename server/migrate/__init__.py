"""Re-embed a corpus: texts from a file or a store, vectors into the file or the store that the user has."""

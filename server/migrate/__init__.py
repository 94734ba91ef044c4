"""Re-embed a corpus: read texts from a file or a vector store, and write vectors to a file or a vector store."""

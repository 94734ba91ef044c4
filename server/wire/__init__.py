"""The dialects: bytes to a checked question, vectors to bytes. Pure, without HTTP; one file a dialect."""

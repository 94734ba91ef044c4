"""The request formats, one a file: bytes to a checked request, vectors to bytes. Pure, without HTTP."""

"""One request through the model: checks, tokens, cache, batch, vectors; start, readiness and liveness."""

"""The embedding service: request validation, tokenization, cache and batching; startup, readiness and liveness."""

"""Logs, metrics and traces, and the context of the current request that they share."""

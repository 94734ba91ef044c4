"""Admission control, fair queueing and batching."""

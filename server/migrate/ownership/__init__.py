"""Tracks which files and folders belong to a job, by locks, marks and recorded files, and opens only those."""

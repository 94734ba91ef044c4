"""`make reliability`: run the evidence for each promise of docs/reliability.md and record the results."""

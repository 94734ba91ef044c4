"""What `python -m server.migrate` can be asked for, one command a file."""

"""What the documents say: every command in them is run, every link leads somewhere, every name is one of the code's."""

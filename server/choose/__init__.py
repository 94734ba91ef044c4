"""The command that chooses precision, output type and dimensions by a budget of quality, on the user's own texts."""

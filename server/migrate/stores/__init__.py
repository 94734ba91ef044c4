"""Vector stores, one folder each, with modules that parse its address, open it, read it and write it."""

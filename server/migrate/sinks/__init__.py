"""Where vectors go: one file a format; each takes rows again without doubling them."""

"""Output file formats, one module each; writing a row again replaces it."""

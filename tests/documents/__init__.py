"""Tests of the documents: commands run, links resolve, and names match the code."""

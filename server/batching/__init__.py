"""Admission, fairness between requests, and which texts run together."""

"""`python -m bench gpu`: one variant on one device beside the matrix rate, torch, the CPU's fp32, and over HTTP.

Made for a GPU. It runs on the CPU too, on any model, where its figures say nothing but that it works.
"""

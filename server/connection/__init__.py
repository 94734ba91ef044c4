"""HTTP/1.1 connections with limits on time, memory and number."""

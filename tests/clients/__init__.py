"""Third-party clients and schema validators against a real server."""

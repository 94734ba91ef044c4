"""Log lines, metrics and traces, and what is known of the request that is being served."""

"""HTTP/1.1 on one connection, with bounds on time, memory and number."""

"""The host machine and the process: cores, memory, open files, threads and signals."""

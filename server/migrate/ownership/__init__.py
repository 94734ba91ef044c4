"""Which files and folders are a job's own: locks, marks, and files opened only where they are still its."""

"""What makes a job resumable and its result provable: the journal and the files beside it."""

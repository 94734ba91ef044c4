"""A job's working folder: the journal that makes it resumable, the files beside it, verification and receipt."""

"""Worker processes: which job runs where and until when, what became of it; and the worker itself."""

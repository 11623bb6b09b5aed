"""The one-machine engine: an HTTP server, a SQLite file and worker processes, in one command."""

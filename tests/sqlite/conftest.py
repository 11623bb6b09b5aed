"""The same server and terminal as for tests/server/: what SQLite promises is tested with both."""

from tests.server.conftest import gate, server, terminal

__all__ = ["gate", "server", "terminal"]

"""What the tests of the server use is used here too."""

from tests.server.conftest import gate

__all__ = ["gate"]

"""The application of the tests in Litestar, in a file of its own so that nothing else here needs it."""

from litestar import Litestar, asgi

from tests.mounted.applications import work

lite = Litestar([asgi("/work", is_mount=True, copy_scope=True)(work)], lifespan=[work.lifespan])

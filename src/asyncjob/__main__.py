"""`python -m asyncjob` is the command `asyncjob`. It begins here, since what the rest needs may not be installed."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the current folder: nothing that lies there is to stand in for a module of the standard library

from asyncjob.extras import needs


def main() -> None:
    """Run the command that the arguments name, and end the process."""
    with needs("server"):
        from asyncjob.cli import app
    app()


if __name__ == "__main__":
    main()

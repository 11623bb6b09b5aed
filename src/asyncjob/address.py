"""Where the API is if nobody says so: the client and the commands go by the same environment as `asyncjob serve`."""

import os

DEFAULT_PORT = 8000


def local_url() -> str:
    """The server of this machine that `ASYNCJOB_PORT` and `ASYNCJOB_ROOT_PATH` are for."""
    port = os.environ.get("ASYNCJOB_PORT") or DEFAULT_PORT
    return f"http://127.0.0.1:{port}{os.environ.get('ASYNCJOB_ROOT_PATH', '')}"


def default_url() -> str:
    """What `ASYNCJOB_URL` names, as it does in a worker: its own server. Otherwise the server of this machine."""
    return os.environ.get("ASYNCJOB_URL") or local_url()

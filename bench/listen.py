"""Serves an ASGI application in the same way for every side of a benchmark: uvicorn, one process, a free port.

Its first line says where it listens, as `asyncjob serve` does. The virtual environment that runs it needs uvicorn,
uvloop and httptools, and nothing else of this project.

    python bench/listen.py MODULE:APPLICATION
"""

import socket
import sys

import uvicorn

if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"{sys.argv[1]} on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(sys.argv[1], loop="uvloop", http="httptools", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])

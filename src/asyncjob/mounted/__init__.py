"""`JobsApp`: the API inside somebody's ASGI application, which may run in several processes.

The first process owns the database, and runs the jobs as `asyncjob serve` does. The others hand their requests to it
over a socket beside the file, and one of them takes over when it ends.
"""

"""What runs inside a worker process: it takes jobs from the server's socket, runs them and says how they ended.

    __main__.py      the process, from its first line to its last    signals.py      stop signals, and forked children
    executor.py      runs what the server sends                      threads.py      the threads for sync functions
    outbox.py        outcomes and progress, on their way back        output.py       what functions print
    capture.py       what functions log                              written.py      that and prints, until it is sent
    leftovers.py     ends what a canceled job has started            process_tree.py the processes below a process
    waits.py         jobs that wait for other jobs                   memory.py       the limit of an isolated process

The other end of the socket is `workers/process.py`; what the two say to each other is in `workers/channel.py`.
"""

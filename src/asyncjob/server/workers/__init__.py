"""Worker processes: which job runs where and until when, and what becomes of it.

In the server:

    supervisor.py    the parts, put together         quarantine.py    which jobs may share a process after a crash
    dispatch.py      claimed jobs to workers         suspects.py      runs them there
    outcomes.py      what becomes of attempts        progress.py      how far they are
    deadlines.py     what is canceled or over time   standstill.py    warns when nothing moves
    processes.py     all worker processes            running.py       what is kept of each worker and attempt
    process.py       one of them, and its socket     guard.py         ends what a dead worker leaves behind
    places.py        how many jobs may run           isolated.py      jobs in processes of their own
    job_logs.py      what functions log              attempt_log.py   how much of it is kept of an attempt
    pipes.py         what is written past Python     lines.py         what a line may be

channel.py is what the server and a worker say to each other; worker/ is the other end, what runs in a worker process.
"""

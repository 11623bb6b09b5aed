"""What Lambda calls: the processor of the durable edition with the functions that were deployed.

They are imported while the environment starts, before its first event: Lambda gives that more of a processor core.
Their lifespan begins there too; Lambda tells nobody when an environment ends, so the rest of it never runs. What fails
here fails each delivery, and the recorder then records it.

What they log is kept from INFO on, as on a server. Lambda leaves out what is below WARNING, unless it was told a level.
"""

import logging
import os

from asyncjob.aws.runtime.attempt import start_worker
from asyncjob.aws.runtime.durable_processor import process
from asyncjob.aws.runtime.shapes import Context, DurableEvent
from asyncjob.loading import load

if "AWS_LAMBDA_LOG_LEVEL" not in os.environ:
    logging.getLogger().setLevel(logging.INFO)
jobs = load(os.environ["ASYNCJOB_TARGET"])
worker = start_worker(jobs)


def handler(event: DurableEvent, context: Context) -> None:
    """Run an attempt of a job."""
    process(jobs, worker, event, context)

"""What Lambda calls: the processor of the package edition with the functions that were deployed.

They are imported while the environment starts, before its first event: Lambda gives that more of a processor core. What
fails here fails each delivery, and the recorder then records it.
"""

import os

from asyncjob.aws.runtime.package_processor import process
from asyncjob.aws.runtime.shapes import Context, Event
from asyncjob.loading import load

jobs = load(os.environ["ASYNCJOB_TARGET"])


def handler(event: Event, context: Context) -> None:
    """Run the job of one event."""
    process(jobs, event, context)

"""The client of the commands: somebody is waiting at a terminal, so it gives up sooner than a program's."""

from asyncjob.client import Client
from asyncjob.client.core import Api

ANSWER_SECONDS = 8.0  # a server says after 5 that its file is locked
RETRIES = 2


class TerminalClient(Client):
    """A client that asks again only as long as a first answer may take: what does not answer is said after that.

    Args:
        url: as of `Client`, as are the others.
    """

    def __init__(self, url: str, *, api_key: str | None, aws_iam: bool) -> None:
        super().__init__(url, api_key=api_key, aws_iam=aws_iam)
        self._api = Api(ANSWER_SECONDS, RETRIES, patient=False)

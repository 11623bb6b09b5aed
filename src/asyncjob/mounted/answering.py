"""Answers the requests of one process through whoever owns the database at the moment.

A request that an owner takes along when it dies is handed to the next one, if that can do no harm.
"""

import asyncio
import logging

from asyncjob.contract import ApiError
from asyncjob.mounted.connection import TooLarge
from asyncjob.mounted.follower import Busy, OwnerLost
from asyncjob.mounted.member import Member
from asyncjob.mounted.owner import Owner
from asyncjob.mounted.request import HandedRequest
from asyncjob.server.http import answers
from asyncjob.server.http.answers import Answer
from asyncjob.server.http.problems import as_problem, wants_problem
from asyncjob.server.http.requests import Message, Receive, Scope, Send, by_name
from asyncjob.server.logs import log
from asyncjob.server.refusals import Unavailable
from asyncjob.store import Unusable

PATIENCE = 15.0  # seconds for which a request waits for an owner
PAUSE_SECONDS = 0.01  # before a request is handed to the next owner
CLIENT_LEFT = 499  # as nginx has it; nobody reads it
NOSNIFF = (b"x-content-type-options", b"nosniff")
UNCERTAIN = "the process that had the jobs ended before it answered: look whether this was done, then ask again"
UNREACHABLE = "the process that has the jobs cannot be reached"


async def answer(member: Member, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request; the last three are ASGI's."""
    send = sending = Sending(send)
    try:
        if not member.is_going:
            await member.start()
        await _through_owner(member, scope, receive, send)
        if not sending.has_begun:  # the client has left, which some middleware takes for an error
            await Answer(CLIENT_LEFT, [(b"content-length", b"0")], b"").send(send)
    except Unusable as error:
        log(logging.ERROR, "the job API does not start", error=str(error))
        await _refuse(Unavailable(str(error)), scope, send)
    except (ApiError, Unavailable) as refusal:
        await _refuse(refusal, scope, send)


async def _through_owner(member: Member, scope: Scope, receive: Receive, send: Send) -> None:
    """Have an owner answer, and the next one if that dies.

    Raises:
        ApiError: it is not known whether this was done, or it cannot be handed over.
        Unavailable: there is no owner, or the way to it is full.
    """
    request: HandedRequest | None = None
    unreachable, until = None, 0.0
    while not isinstance(role := await member.role(PATIENCE), Owner):
        if role is None:
            raise _given_up(request, member.problem)
        request = request or HandedRequest(scope, receive, send)
        try:
            return await role.answer(request)
        except Busy:
            raise Unavailable("too many requests are open at once") from None
        except TooLarge:
            raise ApiError(431, "the request's headers are over the limit of 1 MB") from None
        except OwnerLost:
            if request.has_begun:
                raise
            if not request.may_be_repeated:
                raise ApiError(502, UNCERTAIN) from None
            now = member.loop.time()
            if role is not unreachable:
                unreachable, until = role, now + PATIENCE
            elif now > until:
                raise _given_up(request, UNREACHABLE) from None
        await asyncio.sleep(PAUSE_SECONDS)
    if request is not None:
        scope, receive = request.scope, request.replay()
    return await role.answer(scope, receive, send)


def _given_up(request: HandedRequest | None, problem: str) -> Exception:
    """What to refuse a request with that nobody has answered; a 503 says that nothing was done."""
    return ApiError(502, UNCERTAIN) if request is not None and request.may_be_done else Unavailable(problem)


async def _refuse(refusal: Exception, scope: Scope, send: Send) -> None:
    answer = answers.refused(refusal)
    await (as_problem(answer) if wants_problem(by_name(scope["headers"])) else answer).send(send)


class Sending:
    """ASGI's `send`, which has browsers take each answer for what it says it is, as `asyncjob serve` has them.

    Attributes:
        has_begun: whether an answer has.
    """

    def __init__(self, send: Send) -> None:
        self.has_begun = False
        self._send = send

    async def __call__(self, message: Message) -> None:
        self.has_begun = True
        if message["type"] == "http.response.start":
            message["headers"] = [NOSNIFF, *message["headers"]]
        await self._send(message)

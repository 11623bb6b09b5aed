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
from asyncjob.server.http.problems import as_problem, wants_problem
from asyncjob.server.http.requests import Message, Receive, Scope, Send, by_name
from asyncjob.server.logs import log
from asyncjob.server.refusals import Unavailable
from asyncjob.store import Unusable

PATIENCE = 15.0  # seconds for which a request waits for an owner
PAUSE_SECONDS = 0.01  # before a request is handed to the next owner
NOSNIFF = (b"x-content-type-options", b"nosniff")
UNCERTAIN = "the process that had the jobs ended before it answered: look whether this was done, then ask again"


async def answer(member: Member, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request; the last three are ASGI's."""
    send = _not_to_be_guessed(send)
    try:
        if not member.is_going:
            await member.start()
        await _through_owner(member, scope, receive, send)
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
    until: float | None = None
    while not isinstance(role := await member.role(PATIENCE), Owner):
        if role is None:
            raise Unavailable(member.problem)
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
            if not request.may_be_repeated:  # a 503 would say that nothing was done
                raise ApiError(502, UNCERTAIN) from None
        until = until or member.loop.time() + PATIENCE
        if member.loop.time() > until:
            raise Unavailable("the process that has the jobs cannot be reached")
        await asyncio.sleep(PAUSE_SECONDS)
    if request is not None:
        scope, receive = request.scope, request.replay()
    return await role.answer(scope, receive, send)


async def _refuse(refusal: Exception, scope: Scope, send: Send) -> None:
    answer = answers.refused(refusal)
    await (as_problem(answer) if wants_problem(by_name(scope["headers"])) else answer).send(send)


def _not_to_be_guessed(send: Send) -> Send:
    """Have browsers take each answer for what it says it is, as `asyncjob serve` has them."""

    async def send_with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [NOSNIFF, *message["headers"]]
        await send(message)

    return send_with_header

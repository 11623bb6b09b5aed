"""Sends notifications as Standard Webhooks (https://www.standardwebhooks.com) has it: signed, again until answered.

    job ends ── same transaction ──> delivery, Waiting
                                        │  POST  ──  2xx ──> Delivered
                                        │        └─ 410, or a day over ──> Failed
                                        └── else: later, each pause up to twice as long

Nothing polls: the sender is woken by an ended job and by the time of the next try. A server that is killed sends again
what it may have sent, under the same id.

A receiver is a stranger. Each try has a connection of its own, a bound on its time and on what is read of the answer,
and nothing of that answer is kept but its status and Retry-After: no cookies, no body, no words. And a receiver has so
many tries at once and no more, however many of its notifications are due, so that one that never answers delays
nobody else's.
"""

import asyncio
import logging
import random
import sqlite3
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from urllib.parse import urlsplit

import httpcore
import httpx
from standardwebhooks import Webhook

from asyncjob.job import now_ms
from asyncjob.server.logs import event
from asyncjob.server.webhooks.answers import Answer, BoundedBackend, failure, retry_after
from asyncjob.server.webhooks.receivers import NotifyPolicy, Unreachable
from asyncjob.sqlite.deliveries import Deliveries, Due
from asyncjob.version import __version__

AT_ONCE = 256  # tries under way
AT_ONCE_EACH = 8  # of them to one host and port
TRY_SECONDS = 15.0  # one try, from the look-up of the name to the answer's head
MAX_PAUSE_SECONDS = 4 * 3_600.0
GIVE_UP_MS = 24 * 3_600_000
SAVE_AGAIN_SECONDS = 0.5
LOOK_PAUSE = 10  # times as long as a look took until the next one, so that looking costs a tenth of a core at most
LEAST_PAUSE_SECONDS = 0.005
OWN_HEADERS = {
    "user-agent": f"async-job-api/{__version__}",
    "content-type": "application/json",
    "connection": "close",
}
GONE = 410  # the receiver says that it wants no more


class Sender:
    """Sends what waits in `deliveries`.

    Args:
        deliveries: of the file.
        policy: who may be notified.
        secret: `whsec_` and base64; what notifications are signed with.
        backoff: seconds; the first pause is up to so long.
        counted: called with `delivered`, `again` or `failed` after each try.
    """

    def __init__(
        self, deliveries: Deliveries, policy: NotifyPolicy, secret: str, backoff: float, counted: Callable[[str], None]
    ) -> None:
        self._deliveries = deliveries
        self._policy = policy
        self._webhook = Webhook(secret)
        self._backoff = backoff
        self._counted = counted
        self._news = asyncio.Event()
        self._lanes: dict[str, deque[str]] = {}  # ids of what is due, by receiver, in the order of their turns
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._receivers: Counter[str] = Counter()  # of what is under way
        self._tls = httpx.create_ssl_context()  # which honours SSL_CERT_FILE
        self._running = asyncio.create_task(self._run())

    def wake(self) -> None:
        """A job has ended: look whether that is to be told."""
        self._news.set()

    async def stop(self) -> None:
        """End; a try that is under way is cut off, and made again by the next server."""
        ending = [self._running, *self._sending.values()]
        for one in ending:
            one.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._news.clear()
            began = monotonic()
            until_next: float | None = SAVE_AGAIN_SECONDS
            try:
                until_next = await self._look()
            except sqlite3.Error as error:
                event(logging.ERROR, "notifications cannot be read, trying again", error=str(error))
            await asyncio.sleep(max(LEAST_PAUSE_SECONDS, LOOK_PAUSE * (monotonic() - began)))
            with suppress(TimeoutError):
                async with asyncio.timeout(until_next):
                    await self._news.wait()

    async def _look(self) -> float | None:
        """Begin what is due and finds a place; how many seconds until the next one is due, None where none waits."""
        now = now_ms()
        busy = [receiver for receiver, count in self._receivers.items() if count >= AT_ONCE_EACH]
        for receiver, ids in (await self._deliveries.due({*self._lanes, *busy}, now)).items():
            new = deque(one for one in ids if one not in self._sending)
            if new:
                self._lanes[receiver] = new
        self._fill()
        due_at = self._deliveries.next_due_at(now)
        return None if due_at is None else max(0, due_at - now_ms()) / 1000

    def _fill(self) -> None:
        """Give the free places to those whose turn it is."""
        for receiver in list(self._lanes):
            if len(self._sending) >= AT_ONCE:
                return
            lane = self._lanes.pop(receiver)
            while lane and self._receivers[receiver] < AT_ONCE_EACH and len(self._sending) < AT_ONCE:
                self._begin(lane.popleft(), receiver)
            if lane:
                self._lanes[receiver] = lane  # behind all others

    def _begin(self, delivery_id: str, receiver: str) -> None:
        delivery = self._deliveries.find(delivery_id)
        if delivery is not None:
            self._receivers[receiver] += 1
            sending = self._sending[delivery_id] = asyncio.create_task(self._send(delivery))
            sending.add_done_callback(lambda _: self._ended(delivery_id, receiver))

    def _ended(self, delivery_id: str, receiver: str) -> None:
        del self._sending[delivery_id]
        self._receivers[receiver] -= 1
        self._receivers += Counter()  # without those that have none
        try:
            self._fill()
        except sqlite3.Error as error:
            event(logging.ERROR, "notifications cannot be read, trying again", error=str(error))
            self._lanes.clear()
        if receiver not in self._lanes:  # it may have more than the look has taken
            self.wake()

    async def _send(self, delivery: Due) -> None:
        delivery = delivery._replace(tries=delivery.tries + 1)
        answer = await self._try(delivery)
        while True:
            try:
                await self._record(delivery, answer)
                return
            except sqlite3.Error as failed:  # the disk is full: what became of it is kept here until there is room
                event(logging.ERROR, "notification not saved, trying again", job_id=delivery.job_id, error=str(failed))
                await asyncio.sleep(SAVE_AGAIN_SECONDS)

    async def _try(self, delivery: Due) -> Answer:
        try:
            async with asyncio.timeout(TRY_SECONDS):
                return await self._request(delivery)
        except TimeoutError:
            return Answer(f"no answer within {TRY_SECONDS:g} seconds")
        except Unreachable as error:
            return Answer(error.message, detail=error.detail)
        except Exception as error:  # whatever becomes of a request to a stranger, it is a try that failed
            return failure(error)

    async def _request(self, delivery: Due) -> Answer:
        """Ask by a connection that is used once: names at one address would share it, and the first's certificate."""
        target = await self._policy.resolve(delivery.url, delivery.tries - 1)
        body = delivery.body.encode()
        headers = {"host": target.host, "content-length": str(len(body)), **OWN_HEADERS, **self._signed(delivery)}
        request = httpcore.Request(
            "POST",
            target.url,
            headers=list(headers.items()),
            content=body,
            extensions={"sni_hostname": target.name},
        )
        connection = httpcore.AsyncHTTPConnection(
            request.url.origin, ssl_context=self._tls, network_backend=BoundedBackend()
        )
        try:
            answer = await connection.handle_async_request(request)  # the head; the body is not read
            if 200 <= answer.status < 300:
                return Answer("", answer.status)
            return Answer(f"the answer was {answer.status}", answer.status, retry_after(answer.headers))
        finally:
            await connection.aclose()

    def _signed(self, delivery: Due) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(delivery.id, now, delivery.body),
        }

    async def _record(self, delivery: Due, answer: Answer) -> None:
        host = urlsplit(delivery.url).hostname  # the rest of a URL may be a secret
        known = {"job_id": delivery.job_id, "host": host, "tries": delivery.tries}
        if not answer.error:
            await self._deliveries.delivered(delivery)
            event(logging.INFO, "notified", **known)
            self._counted("delivered")
            return
        known |= {"error": answer.error} | ({"detail": answer.detail} if answer.detail else {})
        due_at = self._next_try_at(delivery, answer)
        if answer.status == GONE or due_at > delivery.created_ms + GIVE_UP_MS:
            await self._deliveries.failed(delivery, answer.error)
            event(logging.ERROR, "notification given up", **known)
            self._counted("failed")
        else:
            await self._deliveries.again(delivery, answer.error, due_at)
            event(logging.WARNING, "notification failed, trying again", **known)
            self._counted("again")

    def _next_try_at(self, delivery: Due, answer: Answer) -> int:
        """When to try again, in milliseconds since 1970.

        A receiver may ask for a longer pause than ours, up to the longest of ours, and never beyond the last moment at
        which a try is made: it cannot end its notifications by that.
        """
        now = now_ms()
        longest = min(MAX_PAUSE_SECONDS, self._backoff * 2 ** min(delivery.tries, 30))
        ours = now + round(random.uniform(longest / 2, longest) * 1000)
        asked = now + round(min(MAX_PAUSE_SECONDS, answer.retry_after) * 1000)
        return max(ours, min(asked, delivery.created_ms + GIVE_UP_MS))

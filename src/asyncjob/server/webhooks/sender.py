"""Sends notifications as Standard Webhooks (https://www.standardwebhooks.com) says: signed, and again until answered.

    job ends ── same transaction ──> delivery, Waiting
                                        │  POST  ──  2xx ──> Delivered
                                        │        └─ 410, or a day over ──> Failed
                                        └── else: later, each pause up to twice as long

Nothing polls: an ended job wakes the sender, and so does the time of the next try. If the server is killed, the next
one sends again what may have been sent, under the same id.

A receiver is a stranger. Each try has its own connection and a bound on its time and on what is read of the answer.
Only the status and Retry-After are kept of it: no cookies, no body, no words. Each receiver has a bound on its tries at
once, however many of its notifications are due, so that one that never answers delays nobody else's.
"""

import asyncio
import logging
import random
from collections import Counter, deque
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from urllib.parse import urlsplit

import httpcore
import httpx
from standardwebhooks import Webhook

from asyncjob.job import now_ms
from asyncjob.server.logs import log
from asyncjob.server.webhooks.receivers import NotifyPolicy, Undeliverable
from asyncjob.server.webhooks.replies import BoundedBackend, Reply, no_reply, retry_after
from asyncjob.store import Deliveries, Due, Unreadable
from asyncjob.version import __version__

AT_ONCE = 256  # tries under way
AT_ONCE_EACH = 8  # to one host and port
TRY_SECONDS = 15.0  # one try, from the look-up of the name to the answer's head
MAX_PAUSE_SECONDS = 4 * 3_600.0
GIVE_UP_MS = 24 * 3_600_000
LOOK_AGAIN_SECONDS = 0.5  # after a look that failed
LOOK_PAUSE = 10  # times as long as a look took, until the next: looking costs a tenth of a core at most
LEAST_PAUSE_SECONDS = 0.005
OWN_HEADERS = {
    "user-agent": f"async-job-api/{__version__}",
    "content-type": "application/json",
    "connection": "close",
}
GONE = 410  # the receiver wants no more


class Sender:
    """Sends what waits in `deliveries`.

    Args:
        deliveries: the store's.
        policy: who may be notified.
        secret: `whsec_` and base64; it signs notifications.
        backoff: seconds; the first pause is up to that long.
        tries: counts what became of each try: `delivered`, `again` or `failed`.
    """

    def __init__(
        self, deliveries: Deliveries, policy: NotifyPolicy, secret: str, backoff: float, tries: Counter[str]
    ) -> None:
        self._deliveries = deliveries
        self._policy = policy
        self._webhook = Webhook(secret)
        self._backoff = backoff
        self._tries = tries
        self._news = asyncio.Event()
        self._lanes: dict[str, deque[str]] = {}  # ids of what is due, by receiver, in the order of their turns
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._receivers: Counter[str] = Counter()  # how many tries are under way
        self._tls = httpx.create_ssl_context()  # honours SSL_CERT_FILE
        self._running = asyncio.create_task(self._run())

    def wake(self) -> None:
        """A job has ended: look whether somebody is to be notified."""
        self._news.set()

    async def stop(self) -> None:
        """End. A try that is under way is cut off, and the next server makes it again."""
        ending = [self._running, *self._sending.values()]
        for one in ending:
            one.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._news.clear()
            began = monotonic()
            until_next: float | None = LOOK_AGAIN_SECONDS
            try:
                until_next = await self._look()
            except Unreadable as error:
                log(logging.ERROR, "notifications cannot be read, trying again", error=str(error))
            await asyncio.sleep(max(LEAST_PAUSE_SECONDS, LOOK_PAUSE * (monotonic() - began)))
            with suppress(TimeoutError):
                async with asyncio.timeout(until_next):
                    await self._news.wait()

    async def _look(self) -> float | None:
        """Begin what is due, while places are free; the seconds until the next is due, or None if none waits."""
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
        """Give the free places to the receivers whose turn it is."""
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
        self._receivers += Counter()  # drops the zeros
        try:
            self._fill()
        except Unreadable as error:
            log(logging.ERROR, "notifications cannot be read, trying again", error=str(error))
            self._lanes.clear()
        if receiver not in self._lanes:  # it may have more than the look took
            self.wake()

    async def _send(self, delivery: Due) -> None:
        delivery = delivery._replace(tries=delivery.tries + 1)
        await self._record(delivery, await self._try(delivery))

    async def _try(self, delivery: Due) -> Reply:
        try:
            async with asyncio.timeout(TRY_SECONDS):
                return await self._request(delivery)
        except TimeoutError:
            return Reply(f"no answer within {TRY_SECONDS:g} seconds")
        except Undeliverable as error:
            return Reply(error.message, detail=error.detail)
        except Exception as error:  # whatever a stranger does, the try has failed
            return no_reply(error)

    async def _request(self, delivery: Due) -> Reply:
        """Send it on a connection of its own: names at one address would share one, and the first one's certificate."""
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
            answer = await connection.handle_async_request(request)  # reads the head; the body is never read
            if 200 <= answer.status < 300:
                return Reply(None, answer.status)
            return Reply(f"the answer was {answer.status}", answer.status, retry_after(answer.headers))
        finally:
            await connection.aclose()

    def _signed(self, delivery: Due) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(delivery.id, now, delivery.body),
        }

    async def _record(self, delivery: Due, reply: Reply) -> None:
        host = urlsplit(delivery.url).hostname  # the rest of a URL may be a secret
        known = {"job_id": delivery.job_id, "host": host, "tries": delivery.tries}
        if reply.error is None:
            await self._deliveries.delivered(delivery)
            log(logging.INFO, "notified", **known)
            self._tries["delivered"] += 1
            return
        known |= {"error": reply.error} | ({"detail": reply.detail} if reply.detail else {})
        due_at = self._next_try_at(delivery, reply)
        if reply.status == GONE or due_at > delivery.created_ms + GIVE_UP_MS:
            await self._deliveries.failed(delivery, reply.error)
            log(logging.ERROR, "notification given up", **known)
            self._tries["failed"] += 1
        else:
            await self._deliveries.again(delivery, reply.error, due_at)
            log(logging.WARNING, "notification failed, trying again", **known)
            self._tries["again"] += 1

    def _next_try_at(self, delivery: Due, reply: Reply) -> int:
        """When to try again, in milliseconds since 1970.

        A receiver may ask for a longer pause, up to the longest of ours, but not beyond the last moment for a try: it
        cannot end its notifications that way.
        """
        now = now_ms()
        longest = min(MAX_PAUSE_SECONDS, self._backoff * 2 ** min(delivery.tries, 30))
        ours = now + round(random.uniform(longest / 2, longest) * 1000)
        asked = now + round(min(MAX_PAUSE_SECONDS, reply.retry_after) * 1000)
        return max(ours, min(asked, delivery.created_ms + GIVE_UP_MS))

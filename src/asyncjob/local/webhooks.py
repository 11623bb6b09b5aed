"""Sends notifications as Standard Webhooks (https://www.standardwebhooks.com) has it: signed, again until answered.

    job ends ── same transaction ──> delivery, Waiting
                                        │  POST  ──  2xx ──> Delivered
                                        │        └─ 410, or a day over ──> Failed
                                        └── else: later, each pause up to twice as long

Nothing polls: the sender is woken by an ended job and by the time of the next try. A server that is killed sends again
what it may have sent, under the same id.
"""

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook

from asyncjob import __version__
from asyncjob.job import now_ms
from asyncjob.local.deliveries import Deliveries, Due
from asyncjob.local.logs import event
from asyncjob.local.notify import NotifyPolicy

AT_ONCE = 32  # tries under way
TRY_SECONDS = 15.0  # one try, from the look-up of the name to the answer's head
MAX_PAUSE_SECONDS = 4 * 3_600.0
GIVE_UP_MS = 24 * 3_600_000
SAVE_AGAIN_SECONDS = 0.5
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
        self._sending: dict[str, asyncio.Task[None]] = {}
        # Neither a proxy nor a password of the environment: what is reached is what was looked at. And no connection is
        # used twice: names at one address would share it, and with it the certificate of the first.
        self._client = httpx.AsyncClient(
            verify=httpx.create_ssl_context(),  # which honours SSL_CERT_FILE
            timeout=TRY_SECONDS,
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
            headers={"user-agent": f"async-job-api/{__version__}", "content-type": "application/json"},
        )
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
        await self._client.aclose()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            pause = self._send_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    def _send_due(self) -> float | None:
        """Begin what is due and find a place; how many seconds until the next one is, None where none waits."""
        try:
            waiting = self._deliveries.due_at(AT_ONCE * 2)  # what is under way is still among them
            for delivery_id, due_at in waiting:
                if delivery_id in self._sending:
                    continue
                if due_at > (now := now_ms()):
                    return (due_at - now) / 1000
                if len(self._sending) == AT_ONCE:
                    return None  # the end of one wakes this
                self._begin(delivery_id)
        except sqlite3.Error as error:
            event(logging.ERROR, "notifications cannot be read, trying again", error=str(error))
            return SAVE_AGAIN_SECONDS
        return None

    def _begin(self, delivery_id: str) -> None:
        delivery = self._deliveries.find(delivery_id)
        if delivery is not None:
            sending = self._sending[delivery_id] = asyncio.create_task(self._send(delivery))
            sending.add_done_callback(lambda _: self._ended(delivery_id))

    def _ended(self, delivery_id: str) -> None:
        del self._sending[delivery_id]
        self.wake()

    async def _send(self, delivery: Due) -> None:
        delivery = delivery._replace(tries=delivery.tries + 1)
        status, error = await self._try(delivery)
        while True:
            try:
                await self._record(delivery, status, error)
                return
            except sqlite3.Error as failure:  # the disk is full: what became of it is kept here until there is room
                event(logging.ERROR, "notification not saved, trying again", job_id=delivery.job_id, error=str(failure))
                await asyncio.sleep(SAVE_AGAIN_SECONDS)

    async def _try(self, delivery: Due) -> tuple[int | None, str]:
        """The answer's status, if there was one, and what was wrong; an empty text where nothing was."""
        try:
            async with asyncio.timeout(TRY_SECONDS):
                target = await self._policy.resolve(delivery.url, delivery.tries - 1)
                request = self._client.build_request(
                    "POST",
                    target.url,
                    content=delivery.body.encode(),
                    headers={"host": target.host, **self._signed(delivery)},
                    extensions={"sni_hostname": target.name},
                )
                answer = await self._client.send(request, stream=True)  # of its answer the status is enough
                await answer.aclose()
        except TimeoutError:
            return None, f"no answer within {TRY_SECONDS:g} seconds"
        except Exception as error:  # whatever becomes of a request to a stranger, it is a try that failed
            return None, str(error) or type(error).__name__
        return answer.status_code, "" if answer.is_success else f"the answer was {answer.status_code}"

    def _signed(self, delivery: Due) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(delivery.id, now, delivery.body),
        }

    async def _record(self, delivery: Due, status: int | None, error: str) -> None:
        host = urlsplit(delivery.url).hostname  # the rest of a URL may be a secret
        known = {"job_id": delivery.job_id, "host": host, "tries": delivery.tries}
        if not error:
            await self._deliveries.delivered(delivery)
            event(logging.INFO, "notified", **known)
            self._counted("delivered")
            return
        longest = min(MAX_PAUSE_SECONDS, self._backoff * 2 ** min(delivery.tries, 30))
        due_at = now_ms() + round(random.uniform(longest / 2, longest) * 1000)
        if status == GONE or due_at > delivery.created_ms + GIVE_UP_MS:
            await self._deliveries.failed(delivery, error)
            event(logging.ERROR, "notification given up", **known, error=error)
            self._counted("failed")
        else:
            await self._deliveries.again(delivery, error, due_at)
            event(logging.WARNING, "notification failed, trying again", **known, error=error)
            self._counted("again")

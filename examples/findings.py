"""The present state of all findings, read from the stream that trommel publishes to.

Each finding has a subject of its own, and its messages are numbered revisions. So the last message on each subject is the
present state of everything, and it can be read at any time: whoever consumes findings needs no state of their own. Whatever
happens to the connection, the consumer or the server, reading begins anew, and what is known already changes nothing.
"""

import asyncio
import datetime
import json
import logging
import ssl

import nats
import nats.errors
import nats.js.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

log = logging.getLogger("findings")

# Between two attempts to read from a server that is not there.
RETRY_SECONDS = 1.0
# An open finding is told of at least once a day. One that is not has lost its trommel, and is over.
OPEN_AT_MOST = datetime.timedelta(hours=25)


def add_arguments(parser):
    """How a program gets to the server: its address, one way to log in, and whom it believes."""
    parser.add_argument("--nats", default="nats://127.0.0.1:4222", help="URL of the server; tls:// where it has TLS")
    parser.add_argument("--credentials", help="file of NATS credentials")
    parser.add_argument("--user", help="user of the server, with --password-file")
    parser.add_argument("--password-file", help="file that holds the user's password and nothing else")
    parser.add_argument("--ca-file", help="authority that has signed the server's certificate, as PEM; without it those that the system trusts")


async def connect(arguments):
    """Connects, and stays connected whatever happens to the server."""
    password = None
    if arguments.password_file:
        with open(arguments.password_file, encoding="utf-8") as file:
            password = file.read().strip()
    return await nats.connect(
        arguments.nats,
        user=arguments.user,
        password=password,
        user_credentials=arguments.credentials,
        tls=ssl.create_default_context(cafile=arguments.ca_file) if arguments.ca_file else None,
        max_reconnect_attempts=-1,
        reconnect_time_wait=RETRY_SECONDS,
        error_cb=_log_error,
    )


async def _log_error(error):
    log.warning("nats: %s", error)


class Findings:
    """What is known of each finding: its last message, by subject, as `event`, and when the stream got it, as `stored`."""

    def __init__(self, stream="OPS_FINDINGS", subjects="ops.findings.*.*.*"):
        self.stream, self.subjects = stream, subjects
        self.last = {}
        # Set once everything that was in the stream at the start is known.
        self.complete = asyncio.Event()

    def open(self):
        """The messages of all that are open."""
        return [event for event, stored in self.last.values() if is_open(event, stored)]

    async def follow(self, connection):
        """Yields each message that says something new, for ever: first the present state, then what changes."""
        while True:
            try:
                async for event in self._read(connection.jetstream()):
                    yield event
            except (nats.errors.Error, nats.js.errors.Error, asyncio.TimeoutError, OSError) as error:
                # Also where the stream is not there yet: trommel makes it.
                log.warning("reading anew: %s", error or type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, jetstream):
        # The server forgets it when nobody asks for a minute.
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=60,
        )
        reader = await jetstream.pull_subscribe(self.subjects, stream=self.stream, config=config)
        try:
            if (await reader.consumer_info()).num_pending == 0:
                self.complete.set()
            while True:
                try:
                    messages = await reader.fetch(256, timeout=5)
                except nats.errors.TimeoutError:
                    # Nothing new, or nobody there: this raises where the consumer is gone.
                    await reader.consumer_info()
                    continue
                for message in messages:
                    event = self._take(message)
                    if event:
                        yield event
                    if message.metadata.num_pending == 0:
                        self.complete.set()
        finally:
            # It may have gone with the server.
            try:
                await reader.unsubscribe()
            except nats.errors.Error:
                pass

    def _take(self, message):
        """The event, unless it is known: a stream keeps the order of a subject, so another message is a later one."""
        event = json.loads(message.data)
        known, _ = self.last.get(message.subject, (None, None))
        # Of one that is over, what tells it from another is enough.
        kept = event if event["data"]["state"] == "open" else {"id": event["id"], "data": {"state": event["data"]["state"]}}
        self.last[message.subject] = kept, message.metadata.timestamp
        return None if known and known["id"] == event["id"] else event


def is_open(event, stored):
    """Whether a finding is still open whose last message is that one."""
    age = datetime.datetime.now(datetime.timezone.utc) - stored
    return event["data"]["state"] == "open" and age < OPEN_AT_MOST

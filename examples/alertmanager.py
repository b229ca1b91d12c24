#!/usr/bin/env python3
"""Makes an alert in Alertmanager of each open finding, and resolves it when the finding recovers.

    alertmanager.py --nats nats://127.0.0.1:4222 --alertmanager http://127.0.0.1:9093

So Slack, Teams, PagerDuty and e-mail come from the routes that are there already. Alertmanager forgets an alert that is not sent
again in time, so all open ones are sent again at every interval, as Prometheus does. The bridge keeps no state: after a restart
it knows what is open from the stream, and an alert whose finding recovered meanwhile ends by itself within three intervals.
"""

import argparse
import asyncio
import datetime
import json
import logging
import urllib.error
import urllib.request

from findings import Findings, add_arguments, connect

log = logging.getLogger("alertmanager")

# An alert ends unless it is sent again within so many intervals.
INTERVALS_KEPT = 3


def labels(data):
    """What makes the alert this one and no other. A severity that rises makes another alert, so that routes see it."""
    chosen = {
        "alertname": data["incident_type"],
        "severity": data["severity"],
        "domain": data["domain"],
        "rule": data["rule"]["id"],
        "owner": data["rule"]["owner"],
        "finding_id": data["finding_id"],
        "source": "trommel",
        **{name: value for name, value in data["resource_scope"].items() if name.isidentifier()},
    }
    return {name: str(value) for name, value in chosen.items() if value}


def alert(data, ends_at, known_as=None):
    """The alert of a finding, under its labels of now or under those that it was sent with."""
    annotations = {
        "summary": data["summary"],
        "condition": data["rule"]["condition"],
        "count": str(data["counts"]["total"]),
        "coverage": data["detector"]["coverage"],
        "runbook_url": data["runbook"],
        "logql": data["logs"]["logql"],
    }
    made = {
        "labels": known_as or labels(data),
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": data["first_seen"],
        "endsAt": ends_at,
    }
    if data["logs"]["url"]:
        made["generatorURL"] = data["logs"]["url"]
    return made


class Bridge:
    def __init__(self, url, interval):
        self.url, self.interval = url.rstrip("/") + "/api/v2/alerts", interval
        self.findings = Findings()
        # What was sent last of those that are open, by finding: to resolve it under the labels that it had.
        self.sent = {}

    async def run(self, connection):
        again = asyncio.create_task(self.send_again())
        async for event in self.findings.follow(connection):
            await self.tell(event["data"])
            if again.done():
                again.result()

    async def tell(self, data):
        finding_id = data["finding_id"]
        before = self.sent.pop(finding_id, None)
        alerts = []
        if data["state"] == "open":
            self.sent[finding_id] = data
            alerts.append(alert(data, self.later()))
            if before and labels(before) != labels(data):
                alerts.append(alert(before, now()))
        elif before:
            # It is resolved under the labels that it had, with what is known in the end.
            alerts.append(alert(data, data["recovered_at"], known_as=labels(before)))
        if alerts and not await self.post(alerts) and data["state"] != "open":
            # It ends by itself when it is not sent again.
            log.warning("%s could not be resolved, and will run out", finding_id)

    async def send_again(self):
        while True:
            await asyncio.sleep(self.interval)
            still_open = {event["data"]["finding_id"] for event in self.findings.open()}
            self.sent = {finding_id: data for finding_id, data in self.sent.items() if finding_id in still_open}
            if self.sent:
                await self.post([alert(data, self.later()) for data in self.sent.values()])

    async def post(self, alerts):
        """Whether Alertmanager took them. What it did not take now is sent again with the next interval."""
        request = urllib.request.Request(
            self.url, json.dumps(alerts).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with await asyncio.to_thread(urllib.request.urlopen, request, timeout=10):
                return True
        except urllib.error.HTTPError as error:
            log.error("%s: %s %s", self.url, error, error.read(500).decode(errors="replace"))
        except OSError as error:
            log.warning("%s: %s", self.url, error)
        return False

    def later(self):
        return now(INTERVALS_KEPT * self.interval)


def now(plus=0):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=plus)
    return moment.isoformat()


async def run(arguments):
    connection = await connect(arguments)
    await Bridge(arguments.alertmanager, arguments.interval).run(connection)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--alertmanager", default="http://127.0.0.1:9093", help="URL of Alertmanager")
    parser.add_argument("--interval", type=float, default=60, help="seconds after which open ones are sent again")
    logging.basicConfig(level=logging.INFO)
    try:
        asyncio.run(run(parser.parse_args()))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()

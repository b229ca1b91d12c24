#!/usr/bin/env python3
"""Keeps the present state of all findings, and tells what it may do about each.

    robot.py --nats nats://127.0.0.1:4222           follows, one JSON object for each change
    robot.py --nats nats://127.0.0.1:4222 --once    prints what is open now, and ends

It keeps no state: after a restart it knows what is open from the stream. What it does must therefore be harmless when done
twice, or be remembered where it is done. robot.rs does the same in Rust.
"""

import argparse
import asyncio
import json
import logging

from findings import Findings, add_arguments, connect


def told(event):
    """What a robot needs of a message."""
    data = event["data"]
    is_open, complete = data["state"] == "open", data["detector"]["coverage"] == "complete"
    return {
        "state": data["state"],
        "finding_id": data["finding_id"],
        "revision": data["revision"],
        "severity": data["severity"],
        "subject": event["subject"],
        "summary": data["summary"],
        # With a gap something was not seen: a recovery may be none.
        "certain": complete,
        # Whatever needs approval, or is for people only, is in `policy` too, and none of a robot's business.
        "may": data["policy"]["automatic"] if is_open else [],
    }


def say(what):
    print(json.dumps(what, ensure_ascii=False), flush=True)


async def run(arguments):
    connection = await connect(arguments)
    findings = Findings(arguments.stream, arguments.subjects)
    if arguments.once:
        reading = asyncio.create_task(drain(findings, connection))
        await findings.complete.wait()
        reading.cancel()
        for event in findings.open():
            say(told(event))
    else:
        async for event in findings.follow(connection):
            # Here it would act. What was known before the restart comes again, as first revisions and later ones alike.
            say(told(event))
    await connection.close()


async def drain(findings, connection):
    async for _ in findings.follow(connection):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--stream", default="OPS_FINDINGS")
    parser.add_argument("--subjects", default="ops.findings.*.*.*", help="which findings: ops.findings.<domain>.<incident type>.>")
    parser.add_argument("--once", action="store_true", help="print what is open now, and end")
    logging.basicConfig(level=logging.WARNING)
    try:
        asyncio.run(run(parser.parse_args()))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()

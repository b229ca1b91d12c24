"""Pushes lines through python-logging-loki, as an application that logs to Loki does.

Usage: push.py URL LABELS_JSON, lines on stdin. Exits with 1 when a line was not answered 204.
The client stamps each line with its own clock and sends one JSON request per line.
"""

import json
import logging
import sys

import logging_loki


def main() -> int:
    url, labels = sys.argv[1], json.loads(sys.argv[2])
    refused = []

    handler = logging_loki.LokiHandler(url=url, tags=labels, version="1")
    # The handler swallows errors as logging handlers do; here they are the result.
    handler.handleError = lambda record: refused.append((record.getMessage(), sys.exc_info()[1]))

    logger = logging.getLogger("fixture")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    for line in sys.stdin.read().splitlines():
        logger.error("%s", line)
    for line, why in refused:
        print(f"not accepted: {line!r}: {why}", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())

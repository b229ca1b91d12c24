"""Holds each line of stdin against a model of OCSF's Detection Finding; exits with 1 and says why at the first that is none."""

import json
import sys

from py_ocsf_models.events.findings.detection_finding import DetectionFinding

for line in sys.stdin:
    DetectionFinding.model_validate_json(line)
    unknown = set(json.loads(line)) - set(DetectionFinding.model_fields)
    if unknown:
        sys.exit(f"no attributes of a Detection Finding: {sorted(unknown)}")

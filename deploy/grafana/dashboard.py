#!/usr/bin/env python3
"""Writes the Grafana dashboard: `deploy/grafana/dashboard.py > deploy/grafana/trommel.json`.

The JSON is what Grafana imports and a test compares it with this; change it here. Twenty-four columns wide; a panel's size
is its share of a row, and rows follow each other.
"""

import json

OURS = '{job=~"$job",instance=~"$instance"}'


def ours(metric, more=""):
    """The metric of the chosen trommels."""
    return metric + OURS[:-1] + ("," + more if more else "") + "}"


def rate(metric, more=""):
    return f"rate({ours(metric, more)}[$__rate_interval])"


def quantile(q, metric):
    return f"histogram_quantile({q}, sum by (le) ({rate(metric + '_bucket')}))"


def stat(title, help, *queries, unit="short", steps=((None, "green"),)):
    return panel("stat", title, help, queries, unit, steps=steps)


def graph(title, help, *queries, unit="short", stacked=False):
    return panel("timeseries", title, help, queries, unit, stacked=stacked)


def bars(title, help, *queries, unit="short"):
    return panel("bargauge", title, help, queries, unit, instant=True)


def panel(kind, title, help, queries, unit, steps=((None, "green"),), stacked=False, instant=False):
    defaults = {
        "unit": unit,
        "min": 0,
        "color": {"mode": "palette-classic" if kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"value": at, "color": color} for at, color in steps]},
    }
    options = {}
    if kind == "timeseries":
        stacking = {"mode": "normal" if stacked else "none"}
        defaults["custom"] = {"fillOpacity": 40 if stacked else 0, "lineWidth": 1, "showPoints": "never", "stacking": stacking}
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    elif kind == "bargauge":
        options = {
            "displayMode": "basic",
            "orientation": "horizontal",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    elif kind == "stat":
        options = {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}}
    targets = [
        {
            "refId": "ABCDEFGH"[number],
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "expr": query,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
        }
        for number, (query, legend) in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": help,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


CRITICAL = ours("trommel_findings_open", 'severity="critical"')
BAD = ((None, "green"), (1, "red"))

ROWS = [
    ("What is wrong", 7, [
        stat("Open findings", "Findings that are open now.",
             (f"sum({ours('trommel_findings_open')}) or vector(0)", "open"), steps=((None, "green"), (1, "yellow"), (50, "red"))),
        stat("Critical", "Of these, the critical ones.",
             (f"sum({CRITICAL}) or vector(0)", "critical"), steps=BAD),
        bars("Open, by domain and severity", "Whose they are.",
             (f"sum by (domain, severity) ({ours('trommel_findings_open')}) > 0", "{{domain}} {{severity}}")),
        bars("Open, by incident type", "What they are.",
             (f"sum by (incident_type) ({ours('trommel_findings_open')}) > 0", "{{incident_type}}")),
    ]),
    (None, 8, [
        graph("Open over time", "By severity.",
              (f"sum by (severity) ({ours('trommel_findings_open')})", "{{severity}}"), stacked=True),
        graph("Messages about findings", "What was published in each step: observed, updated, recovered.",
              (f"sum by (state) (increase({ours('trommel_findings_total')}[$__rate_interval]))", "{{state}}"), stacked=True),
        bars("Noisy rules", "Messages in the time shown. A rule at the top for days wants another threshold.",
             (f"topk(10, sum by (rule) (increase({ours('trommel_findings_total')}[$__range])) > 0)", "{{rule}}")),
    ]),
    ("Is everything seen", 7, [
        graph("Entries", "A second, received and matched.",
              (f"sum({rate('trommel_entries_total')})", "received"),
              (f"sum({rate('trommel_rule_matches_total')})", "matched")),
        graph("Bytes", "A second, as they come over the network.",
              (f"sum({rate('trommel_push_body_bytes_sum')})", "compressed"), unit="Bps"),
        graph("Event lag", "From the newest entry of a request to its receipt.",
              (quantile(0.5, "trommel_event_lag_seconds"), "half"),
              (quantile(0.99, "trommel_event_lag_seconds"), "99 %"), unit="s"),
        graph("Answers", "From the last byte of a request to its answer. The deadline is half a second.",
              (quantile(0.5, "trommel_push_answer_seconds"), "half"),
              (quantile(0.99, "trommel_push_answer_seconds"), "99 %"), unit="s"),
    ]),
    (None, 7, [
        graph("Not inspected, or decided nothing", "Entries a second. Shed and early should be nothing; late ones are re-reads; duplicates are harmless.",
              (f"sum({rate('trommel_entries_shed_total')})", "shed"),
              (f"sum({rate('trommel_entries_early_total')})", "early"),
              (f"sum({rate('trommel_entries_late_total')})", "late"),
              (f"sum({rate('trommel_duplicates_total')})", "duplicates")),
        graph("Requests by status", "Only 204, in a good world.",
              (f"sum by (code) ({rate('trommel_push_requests_total')})", "{{code}}")),
        graph("Alloy: sent to each", "Entries a second. Trommel's is Loki's, less its own lines and old ones.",
              ('sum by (component_id) (rate(loki_write_sent_entries_total[$__rate_interval]))', "{{component_id}}")),
        graph("Alloy: delay of each", "From an entry's creation to its answer. Loki's does not move when trommel is away.",
              ('sum by (component_id) (rate(loki_write_entry_propagation_latency_seconds_sum[$__rate_interval]))'
               ' / sum by (component_id) (rate(loki_write_entry_propagation_latency_seconds_count[$__rate_interval]))', "{{component_id}}"), unit="s"),
    ]),
    ("What trommel is doing", 7, [
        stat("Connected to NATS", "0 is normal without nats.url.",
             (f"min({ours('trommel_nats_connected')})", "connected"), steps=((None, "red"), (1, "green"))),
        stat("Newest files in use", "Rules, settings and credentials: 0 where newer ones are refused.",
             (f"min({ours('trommel_rules_last_reload_successful')})", "rules"),
             (f"min({ours('trommel_config_last_reload_successful')})", "settings"),
             (f"min({ours('trommel_credentials_last_reload_successful')})", "credentials"), steps=((None, "red"), (1, "green"))),
        graph("Outbox", "Messages that wait for NATS, and those that were dropped.",
              (f"sum({ours('trommel_outbox_messages')})", "waiting"),
              (f"sum(increase({ours('trommel_outbox_dropped_total')}[$__rate_interval]))", "dropped")),
        graph("Published", "Messages a second, by what NATS said.",
              (f"sum by (outcome) ({rate('trommel_publish_total')})", "{{outcome}}")),
    ]),
    (None, 7, [
        graph("Memory", "Resident.", (ours("process_resident_memory_bytes"), "{{instance}}"), unit="bytes"),
        graph("CPU", "Cores.", (rate("process_cpu_seconds_total"), "{{instance}}")),
        graph("Keys and identities", "What is counted, and entries remembered.",
              (f"sum({ours('trommel_keys')})", "keys"),
              (f"sum({ours('trommel_identities')})", "identities")),
        graph("Commits", "Time of one, and failures a second.",
              (quantile(0.99, "trommel_commit_seconds"), "99 %"),
              (f"sum({rate('trommel_commit_failures_total')})", "failures"), unit="s"),
        bars("Rules that look at most lines", "Candidates a second. One that is high and matches little has a text that is too common.",
             (f"topk(10, sum by (rule) ({rate('trommel_rule_candidates_total')}) > 0)", "{{rule}}")),
    ]),
]


def variable(name, query, label):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard():
    panels, y = [], 0
    for title, height, row in ROWS:
        if title:
            panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
            y += 1
        x = 0
        for number, one in enumerate(row):
            width = (24 - x) // (len(row) - number)
            panels.append({**one, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
            x += width
        y += height
    for number, one in enumerate(panels, 1):
        one["id"] = number
    return {
        "uid": "trommel",
        "title": "Trommel",
        "description": "What is wrong, whether everything is seen, and how trommel is.",
        "tags": ["trommel", "logs"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}},
            variable("job", "label_values(trommel_build_info, job)", "Job"),
            variable("instance", 'label_values(trommel_build_info{job=~"$job"}, instance)', "Instance"),
        ]},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }


if __name__ == "__main__":
    print(json.dumps(dashboard(), indent=1, ensure_ascii=False))

# Makes a Detection Finding (OCSF class 2004, version 1.5.0) of each finding: `trommel run | jq -c -f ocsf.jq`.
# Attributes that OCSF has no place for are under `unmapped`.

# Milliseconds since the epoch; fromdateiso8601 reads no fractions.
def milliseconds:
  capture("^(?<whole>[^.Z]+)(?:\\.(?<part>[0-9]+))?Z$")
  | ((.whole + "Z") | fromdateiso8601) * 1000 + (((.part // "") + "000")[0:3] | tonumber);

# Without what is null or empty.
def filled: with_entries(select(.value != null and .value != "" and .value != []));

. as $event
| .data
| ({observed: 1, updated: 2, recovered: 3}[$event.type | split(".")[-1]]) as $activity
| {
    class_uid: 2004,
    class_name: "Detection Finding",
    category_uid: 2,
    category_name: "Findings",
    activity_id: $activity,
    activity_name: ["Create", "Update", "Close"][$activity - 1],
    type_uid: (200400 + $activity),
    type_name: ("Detection Finding: " + ["Create", "Update", "Close"][$activity - 1]),
    time: ($event.time | milliseconds),
    severity_id: {info: 1, warning: 3, critical: 5}[.severity],
    severity: {info: "Informational", warning: "Medium", critical: "Critical"}[.severity],
    status_id: (if .state == "recovered" then 4 elif .revision == 1 then 1 else 2 end),
    status: (if .state == "recovered" then "Resolved" elif .revision == 1 then "New" else "In Progress" end),
    confidence_id: {low: 1, medium: 2, high: 3}[.confidence],
    message: .summary,
    count: .counts.total,
    start_time: (.first_seen | milliseconds),
    end_time: (.last_seen | milliseconds),
    metadata: {
      version: "1.5.0",
      uid: $event.id,
      product: {name: .detector.name, version: .detector.version, vendor_name: "trommel"}
    },
    finding_info: ({
      uid: .finding_id,
      title: .summary,
      types: [.domain, .incident_type],
      created_time: (.observed_at | milliseconds),
      modified_time: ($event.time | milliseconds),
      first_seen_time: (.first_seen | milliseconds),
      last_seen_time: (.last_seen | milliseconds),
      src_url: .logs.url,
      analytic: ({uid: .rule.id, name: .rule.id, type_id: 1, type: "Rule", version: .rule.version, desc: .rule.condition} | filled)
    } | filled),
    evidences: [.evidence.lines[] | {data: {time, labels, line}}],
    resources: [({name: (.resource_scope.workload // .resource_scope.component // .resource_scope.node // .resource_scope.namespace),
                  namespace: .resource_scope.namespace, group: {name: .rule.owner}, labels: [.resource_scope | to_entries[] | select(.value != "") | "\(.key)=\(.value)"]}
                 | filled)],
    unmapped: {dedupe_key, reason, resource_scope, counts, coverage: .detector.coverage, policy, logql: .logs.logql}
  }
| filled

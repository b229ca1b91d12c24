//! Messages, and the finding that other tests begin from.

use std::collections::BTreeMap;

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::finding::schema::assert_valid;
use crate::finding::{
    Counts, Coverage, Detector, Evidence, EvidenceLine, LogsLink, Policy, Related, RuleRef,
    finding_key,
};
use crate::rules::Confidence;
use crate::time::Timestamp;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(crate) fn origin() -> Origin {
    Origin {
        cluster: "oke-demo".to_owned(),
        environment: "staging".to_owned(),
        instance: "default".to_owned(),
        grafana: None,
    }
}

/// The finding of the documentation's example.
pub(crate) fn sample() -> Finding {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    Finding {
        schema_version: 1,
        finding_id: "5f1d6c0e2b7a4f90".to_owned(),
        revision: 3,
        state: State::Open,
        reason: Reason::StillMatching,
        source: "logs".to_owned(),
        domain: "identity_security".to_owned(),
        incident_type: "identity_provider_unreachable".to_owned(),
        severity: Severity::Warning,
        severity_max: Severity::Warning,
        confidence: Confidence::High,
        summary: "LDAP fails in image-factory/backend: 37 errors in 10m".to_owned(),
        dedupe_key: "ldap_timeout_spike{component=backend,namespace=image-factory}".to_owned(),
        resource_scope: map(&[
            ("cluster", "oke-demo"),
            ("environment", "staging"),
            ("tenant", ""),
            ("namespace", "image-factory"),
            ("component", "backend"),
        ]),
        rule: RuleRef {
            id: "ldap_timeout_spike".to_owned(),
            version: Some("3".to_owned()),
            hash: "9c1e5b7a90d2f364".to_owned(),
            owner: Some("platform".to_owned()),
            class: "threshold".to_owned(),
            condition: "5 in 10m".to_owned(),
        },
        counts: Counts {
            window: 37,
            window_seconds: 600,
            total: 112,
            since_last_message: 41,
            ..Counts::default()
        },
        first_seen: at("2026-11-20T09:58:02Z"),
        last_seen: at("2026-11-20T10:18:59Z"),
        observed_at: at("2026-11-20T10:02:11Z"),
        recovered_at: None,
        evidence: Evidence {
            redacted: true,
            truncated: false,
            lines: vec![EvidenceLine {
                time: at("2026-11-20T09:58:02Z"),
                labels: map(&[("namespace", "image-factory")]),
                line: "LDAP Result Code 200 \"Network Error\": dial tcp 10.0.0.9:389".to_owned(),
            }],
        },
        logs: LogsLink {
            logql: "{namespace=\"image-factory\"} |= \"LDAP Result Code 200\"".to_owned(),
            from: at("2026-11-20T09:53:02Z"),
            to: at("2026-11-20T10:23:59Z"),
            url: None,
        },
        policy: Policy::default(),
        runbook: Some("https://runbooks.example/ldap".to_owned()),
        route: None,
        hints: vec!["stale_ldap_host".to_owned()],
        related: Vec::new(),
        detector: Detector {
            name: "trommel".to_owned(),
            version: "0.1.0".to_owned(),
            coverage: Coverage::Complete,
        },
        time: at("2026-11-20T10:17:11Z"),
        finding_key: String::new(),
    }
}

pub(crate) fn message(finding: &Finding) -> Message {
    let key = finding_key("oke-demo", "", &finding.dedupe_key);
    Message::new(finding, &key, &origin(), &MessageSettings::default())
}

fn body(message: &Message) -> serde_json::Value {
    assert_valid(&message.body);
    serde_json::from_slice(&message.body).expect("JSON")
}

#[test]
fn a_message_is_a_cloud_event_with_subject_and_headers() {
    let message = message(&sample());
    assert_eq!(message, self::message(&sample()));
    let mut event = body(&message);
    event["data"] = "…".into();
    expect![[r#"
            5f1d6c0e2b7a4f90:3
            ops.findings.identity_security.identity_provider_unreachable.097dbb13dc8c8fb2
            [
                (
                    "Content-Type",
                    "application/cloudevents+json",
                ),
                (
                    "Trommel-State",
                    "open",
                ),
                (
                    "Trommel-Severity",
                    "warning",
                ),
                (
                    "Trommel-Rule",
                    "ldap_timeout_spike",
                ),
            ]
            {
              "data": "…",
              "datacontenttype": "application/json",
              "dataschema": "urn:trommel:finding/1.json",
              "id": "5f1d6c0e2b7a4f90:3",
              "incidenttype": "identity_provider_unreachable",
              "partitionkey": "097dbb13dc8c8fb2",
              "severity": "warning",
              "source": "/trommel/oke-demo/default",
              "specversion": "1.0",
              "subject": "ldap_timeout_spike{component=backend,namespace=image-factory}",
              "time": "2026-11-20T10:17:11Z",
              "type": "sre.detector.finding.updated"
            }
        "#]]
    .assert_eq(&format!(
        "{}\n{}\n{:#?}\n{event:#}\n",
        message.id, message.subject, message.headers
    ));
}

#[test]
fn the_first_message_of_a_finding_is_observed_and_the_last_recovered() {
    for (state, reason, revision, kind) in [
        (State::Open, Reason::Opened, 1, Kind::Observed),
        (State::Open, Reason::WindowEnded, 1, Kind::Observed),
        (State::Open, Reason::WindowEnded, 2, Kind::Updated),
        (State::Open, Reason::Escalated, 2, Kind::Updated),
        (State::Open, Reason::Reopened, 3, Kind::Updated),
        (State::Recovered, Reason::Quiet, 2, Kind::Recovered),
        (State::Recovered, Reason::WindowEnded, 2, Kind::Recovered),
    ] {
        let finding = Finding {
            state,
            reason,
            revision,
            ..sample()
        };
        let message = message(&finding);
        assert_eq!(message.kind, kind, "{reason:?} {revision}");
        assert_eq!(
            body(&message)["type"],
            format!("sre.detector.finding.{}", kind.as_str())
        );
    }
}

#[test]
fn evidence_gives_way_first_when_room_is_short() {
    let mut finding = sample();
    let line = EvidenceLine {
        line: "x".repeat(2048),
        ..finding.evidence.lines[0].clone()
    };
    finding.evidence.lines = vec![line; 16];
    let message = message(&finding);
    assert!(message.body.len() <= 32 * 1024, "{}", message.body.len());
    let event = body(&message);
    assert_eq!(event["data"]["evidence"]["truncated"], true);
    assert_eq!(
        event["data"]["evidence"]["lines"].as_array().map(Vec::len),
        Some(16)
    );
    assert_eq!(event["data"]["summary"], finding.summary);

    // With less room lines go too: the first and the newest stay longest.
    for (place, line) in finding.evidence.lines.iter_mut().enumerate() {
        line.line = format!("{place} {}", "\u{1}".repeat(2000));
    }
    let tight = MessageSettings {
        body_bytes_max: 8 * 1024,
        ..MessageSettings::default()
    };
    let message = Message::new(&finding, "0123456789abcdef", &origin(), &tight);
    assert!(message.body.len() <= 8 * 1024);
    let event = body(&message);
    let lines = event["data"]["evidence"]["lines"]
        .as_array()
        .expect("lines");
    let kept: Vec<_> = lines
        .iter()
        .map(|line| line["line"].as_str().expect("text")[..2].trim())
        .collect();
    assert_eq!(kept.first(), Some(&"0"));
    assert_eq!(kept.last(), Some(&"15"));
    assert!(kept.len() < 16);
}

#[test]
fn keys_that_were_cut_still_differ() {
    let long = |end: &str| {
        let key = format!("r{{v={}{end}}}", "v".repeat(40_000));
        Finding {
            dedupe_key: key,
            ..sample()
        }
    };
    let left = body(&message(&long("a")));
    let right = body(&message(&long("b")));
    assert_ne!(left["data"]["dedupe_key"], right["data"]["dedupe_key"]);
    assert_eq!(left["subject"], left["data"]["dedupe_key"]);
}

#[test]
fn whatever_the_parts_hold_the_subject_is_valid() {
    let finding = Finding {
        domain: "a.b >*".to_owned(),
        incident_type: String::new(),
        ..sample()
    };
    let settings = MessageSettings {
        subject_prefix: "ops..find ings.".to_owned(),
        ..MessageSettings::default()
    };
    let message = Message::new(&finding, "é\n", &origin(), &settings);
    assert_eq!(message.subject, "ops.find_ings.a_b___._.__");
}

#[test]
fn names_of_cluster_and_instance_are_escaped_in_the_source() {
    let origin = Origin {
        cluster: "a/b c".to_owned(),
        instance: "é".to_owned(),
        ..origin()
    };
    let message = Message::new(
        &sample(),
        "0123456789abcdef",
        &origin,
        &MessageSettings::default(),
    );
    assert_eq!(body(&message)["source"], "/trommel/a%2Fb%20c/%C3%A9");
}

/// Texts short and long, some of which grow sixfold in JSON.
fn text() -> impl Strategy<Value = String> {
    (
        "[a-zé\u{0}\"\\\\\u{10ffff}]{0,8}",
        prop_oneof![Just(1usize), Just(40), Just(1_500)],
    )
        .prop_map(|(text, times)| text.repeat(times))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_bound_holds_with_hostile_values(
        texts in prop::collection::vec(text(), 12),
        scope in prop::collection::btree_map(text(), text(), 0..12),
        lines in prop::collection::vec(text(), 0..16),
        many in 0usize..40,
    ) {
        let mut finding = sample();
        finding.summary = texts[0].clone();
        finding.dedupe_key = format!("r{}", texts[1]);
        finding.resource_scope.extend(scope.clone());
        finding.resource_scope.insert("cluster".to_owned(), texts[2].clone());
        finding.rule.version = Some(texts[3].clone());
        finding.rule.owner = Some(texts[4].clone());
        finding.rule.condition = texts[5].clone();
        finding.logs.logql = texts[6].clone();
        finding.logs.url = Some(texts[7].clone());
        finding.runbook = Some(texts[8].clone());
        finding.route = Some(texts[9].clone());
        finding.hints = vec![texts[10].clone(); many];
        finding.policy.approval = vec![texts[11].clone(); many / 2];
        finding.related = vec![
            Related { finding_id: texts[0].clone(), rule: texts[1].clone(), relation: texts[2].clone() };
            many / 3
        ];
        finding.evidence.lines = lines
            .into_iter()
            .map(|line| EvidenceLine { time: finding.time, labels: scope.clone(), line })
            .collect();
        let message = message(&finding);
        assert_valid(&message.body);
        prop_assert!(message.body.len() <= 32 * 1024, "{}", message.body.len());
        let tight = MessageSettings { body_bytes_max: 0, ..MessageSettings::default() };
        let key = finding_key("oke-demo", "", &finding.dedupe_key);
        let message = Message::new(&finding, &key, &origin(), &tight);
        assert_valid(&message.body);
        prop_assert!(message.body.len() <= MessageSettings::BODY_BYTES_LEAST, "{}", message.body.len());
    }
}

//! The room's chief property on real lines, where a corpus lies beside the checkout.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::properties::{naive, scanned};
use super::testing::{
    Sent, all_of, any_of, batch, labels, pattern, regex, rule, rule_set, text, text_in_any_case,
};
use super::{Scanner, Scratch};
use crate::batch::Labels;
use crate::rules::{
    Comparison, Exclude, FieldCondition, FieldTest, Item, Match, Matcher, Rule, Selector, Summary,
    Test,
};

fn any(id: &str, items: impl IntoIterator<Item = Item>) -> Rule {
    rule(id, any_of(items))
}

fn texts(id: &str, texts: &[&str]) -> Rule {
    any(id, texts.iter().map(|piece| text(piece)))
}

fn all(id: &str, items: impl IntoIterator<Item = Item>, none: &[&str]) -> Rule {
    let none = none.iter().map(|piece| Exclude::Item(text(piece)));
    rule(
        id,
        Match {
            none: none.collect(),
            ..all_of(items)
        },
    )
}

fn fields(id: &str, tests: &[(&str, FieldCondition)]) -> Rule {
    let fields = tests.iter().map(|(name, condition)| FieldTest {
        name: (*name).to_owned(),
        accepts: vec![condition.clone()],
    });
    rule(
        id,
        Match {
            fields: fields.collect(),
            ..Match::default()
        },
    )
}

fn equals(text: &str) -> FieldCondition {
    FieldCondition::Equals {
        text: text.to_owned(),
        ignore_case: false,
    }
}

fn by(mut rule: Rule, names: &[&str]) -> Rule {
    rule.by = names.iter().map(|&name| name.to_owned()).collect();
    rule.summary = Some(Summary {
        parts: Vec::new(),
        captures: rule.by.clone(),
    });
    rule
}

fn selecting(mut rule: Rule, name: &str, test: Test) -> Rule {
    rule.selector = Selector(vec![Matcher {
        name: name.to_owned(),
        test,
    }]);
    rule
}

/// Every kind of rule: long and short texts, expressions with and without literals, fields, excludes, keys of all origins.
fn rules() -> Vec<Rule> {
    let leaves_to = |mut rule: Rule, id: &str| {
        rule.matches.none.push(Exclude::Rule(id.to_owned()));
        rule
    };
    vec![
        texts("rate_limited", &["toomanyrequests", "Too Many Requests"]),
        texts(
            "pull_backoff",
            &["ImagePullBackOff", "ErrImagePull", "Back-off pulling image"],
        ),
        texts(
            "manifest_unknown",
            &["manifest unknown", "not found: manifest"],
        ),
        texts("disk_free", &["FreeDiskSpaceFailed", "ImageGCFailed"]),
        texts(
            "eviction",
            &["EvictionThresholdMet", "Evicted", "NodeHasDiskPressure"],
        ),
        texts(
            "not_ready",
            &["NodeNotReady", "PLEG is not healthy", "NetworkNotReady"],
        ),
        texts("nats", &["nats: no servers available for connection"]),
        texts(
            "ldap",
            &["LDAP Result Code 200", "Can't contact LDAP server"],
        ),
        any(
            "dial_timeout",
            [regex(r"dial tcp (?P<peer>\S+): .*i/o timeout")],
        ),
        by(
            any(
                "dial_refused",
                [regex(
                    r"dial tcp (?P<peer>[^ :]+):\d+: connect: connection refused",
                )],
            ),
            &["peer"],
        ),
        texts(
            "refused",
            &["connection refused", "Connection refused", "ECONNREFUSED"],
        ),
        any("refused_any_case", [text_in_any_case("connection refused")]),
        any(
            "dns",
            [regex("no such host|SERVFAIL|EAI_AGAIN|server misbehaving")],
        ),
        texts("x509", &["x509: "]),
        any(
            "expired",
            [regex(r"certificate (?:has expired|is not yet valid)")],
        ),
        any("oom", [regex(r"(?i)out of memory|oom-?kill")]),
        texts(
            "crash_loop",
            &["CrashLoopBackOff", "back-off restarting failed container"],
        ),
        any(
            "probe",
            [regex(r"(?:Liveness|Readiness|Startup) probe failed")],
        ),
        texts("scheduling", &["FailedScheduling"]),
        texts(
            "mount",
            &[
                "FailedMount",
                "FailedAttachVolume",
                "MountVolume.SetUp failed",
            ],
        ),
        texts("job", &["BackoffLimitExceeded", "DeadlineExceeded"]),
        any(
            "login",
            [
                regex(r"Failed password for (?:invalid user )?(?P<user>\S+) from (?P<ip>\S+)"),
                regex(r"authentication failure.* user=(?P<user>\S+)"),
            ],
        ),
        by(
            any(
                "login_by",
                [regex(
                    r"Failed password for (?:invalid user )?(?P<user>\S+) from (?P<ip>\S+)",
                )],
            ),
            &["ip", "user"],
        ),
        fields(
            "status_5xx",
            &[(
                "status",
                FieldCondition::Compare(Comparison::AtLeast, 500.0),
            )],
        ),
        fields("level_error", &[("level", equals("error"))]),
        fields(
            "severity",
            &[(
                "severity",
                FieldCondition::Regex(pattern("^(ERROR|CRITICAL)$", true)),
            )],
        ),
        by(
            fields(
                "warning_events",
                &[("type", equals("Warning")), ("kind", equals("Pod"))],
            ),
            &["name", "reason", "namespace"],
        ),
        fields(
            "nested",
            &[(
                "http.status",
                FieldCondition::Compare(Comparison::AtLeast, 400.0),
            )],
        ),
        by(
            fields("service", &[("detected_level", equals("error"))]),
            &["service_name", "level"],
        ),
        any("http_5xx", [regex(r#"" 5\d\d \d+"#)]),
        any(
            "upstream",
            [
                regex("upstream (?:timed out|prematurely closed)"),
                text("no live upstreams"),
            ],
        ),
        texts(
            "db",
            &[
                "too many connections",
                "deadlock detected",
                "the database system is starting up",
            ],
        ),
        texts(
            "db_full",
            &["No space left on device", "could not extend file"],
        ),
        texts(
            "panic",
            &["panic: ", "Traceback (most recent call last)", "goroutine "],
        ),
        any("java", [regex(r"^\s+at [\w.$]+\(")]),
        any(
            "exception",
            [regex(r"\b\w+(?:\.\w+)*(?:Exception|Error)\b")],
        ),
        texts(
            "kernel",
            &[
                "blocked for more than",
                "I/O error",
                "soft lockup",
                "segfault at",
            ],
        ),
        texts(
            "raft",
            &["lost leader", "no leader", "etcdserver: request timed out"],
        ),
        any(
            "forbidden",
            [regex(
                r#"User "(?P<user>[^"]+)" cannot (?P<verb>\w+) resource"#,
            )],
        ),
        all(
            "ingress",
            [text("ingress"), text_in_any_case("error")],
            &["dry run"],
        ),
        all(
            "release",
            [regex("(?i)helm|argo|flux"), text("failed")],
            &["retry", "0 failed"],
        ),
        all("only_short", [text("err"), text("k8s")], &[]),
        all(
            "quiet_error",
            [text("error")],
            &["connection", "timeout", "refused"],
        ),
        leaves_to(
            texts("timeout_general", &["timeout", "timed out"]),
            "dial_timeout",
        ),
        leaves_to(texts("error_general", &["error"]), "level_error"),
        texts("short", &["WARN"]),
        texts("tiny", &["E0"]),
        texts("single", &["["]),
        any("digits", [regex(r"^\d{4}-\d\d-\d\d")]),
        any("hex", [regex("0x[0-9a-f]{8}")]),
        any("ip", [regex(r"(?P<ip>\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})")]),
        by(
            any("user_is", [regex(r"user[= ](?P<user>[a-z]\w*)")]),
            &["user"],
        ),
        any("end", [regex(r"\bfailed\.?$")]),
        any(
            "words",
            [regex(
                r"(?:block|packet|task|session) (?:received|terminated|closed|opened)",
            )],
        ),
        any(
            "hdfs",
            [regex(
                r"PacketResponder \d+ for block (?P<block>blk_-?\d+) terminating",
            )],
        ),
        texts("unicode", &["…", "→"]),
        selecting(
            texts("kubelet_only", &["Failed"]),
            "job",
            Test::Equal("kubelet".to_owned()),
        ),
        selecting(
            texts("not_spark", &["INFO "]),
            "system",
            Test::NotEqual("spark".to_owned()),
        ),
        selecting(
            any("in_namespaces", [regex("(?i)fail")]),
            "namespace",
            Test::Matches(".+".to_owned(), pattern("^(?:.+)$", false).regex().clone()),
        ),
        by(
            texts("per_pod", &["restarting", "restarted", "Started"]),
            &["namespace", "pod"],
        ),
    ]
}

/// The directory, unless the checkout stands alone.
fn corpus() -> Option<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if corpus.is_dir() {
        return Some(corpus);
    }
    println!("skipped: no corpus at {}", corpus.display());
    None
}

/// The labelled lines, each in the stream that it came from.
fn labelled(corpus: &Path) -> Vec<(Labels, Vec<Sent>)> {
    #[derive(serde::Deserialize)]
    struct Labelled {
        labels: BTreeMap<Box<str>, Box<str>>,
        line: String,
    }
    let lines = fs::read_to_string(corpus.join("dev/labelled.jsonl")).expect("it can be read");
    let streams = lines.lines().map(|line| {
        let line: Labelled = serde_json::from_str(line).expect("each line is an object");
        (Labels::new(line.labels), vec![Sent::from(&*line.line)])
    });
    streams.collect()
}

/// The unlabelled lines, a stream for each file.
fn bulk(corpus: &Path) -> Vec<(Labels, Vec<Sent>)> {
    let directory = fs::read_dir(corpus.join("bulk")).expect("it can be listed");
    let mut files: Vec<_> = directory
        .map(|file| file.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .collect();
    files.sort();
    let stream = |path: PathBuf| {
        let mut bytes = Vec::new();
        let file = File::open(&path).expect("it can be read");
        let mut file = flate2::read::GzDecoder::new(file);
        file.read_to_end(&mut bytes).expect("it is whole");
        let system = path.file_name().unwrap_or_default().to_string_lossy();
        let lines = bytes
            .split_inclusive(|&byte| byte == b'\n')
            .map(|line| Sent {
                line: line.to_vec(),
                metadata: Vec::new(),
            });
        let system = system.trim_end_matches(".log.gz");
        (labels(&[("system", system)]), lines.collect())
    };
    files.into_iter().map(stream).collect()
}

#[test]
fn in_real_logs_many_rules_at_once_find_what_each_finds_alone() {
    let Some(corpus) = corpus() else {
        return;
    };
    let rules = rule_set(rules());
    let scanner = Scanner::new(rules.clone());
    let mut scratch = Scratch::default();
    let mut found = vec![0; rules.rules.len()];
    let bulk = bulk(&corpus);
    for streams in std::iter::once(&labelled(&corpus)[..]).chain(bulk.chunks(1)) {
        let batch = batch(streams, "\x12\x7f\x01");
        let hits = scanned(&scanner, &mut scratch, &batch);
        let expected = naive(&rules, &batch);
        // Compared one by one, so that a failure shows a line and not a file.
        for (hit, expected) in hits.iter().zip(&expected) {
            assert_eq!(hit, expected, "{}", rules.rule(expected.rule).id);
            found[hit.rule.0 as usize] += 1;
        }
        assert_eq!(hits.len(), expected.len());
    }
    let silent: Vec<_> = rules
        .iter()
        .filter(|(index, _)| found[index.0 as usize] == 0)
        .map(|(_, rule)| &rule.id)
        .collect();
    println!(
        "{} hits; silent rules: {silent:?}",
        found.iter().sum::<usize>()
    );
    assert!(silent.len() < 10, "{silent:?}");
}

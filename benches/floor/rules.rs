//! Rules like those that clusters are watched with: what ships, and 200 and 1000 as operators may add.

use std::sync::Arc;

use trommel::rules::{
    Comparison, FieldCondition, FieldTest, Item, LoadOptions, Match, Matcher, Pattern, Recover,
    Rule, RuleSet, Selector, Test, builtin, load, read_paths,
};
use trommel::scan::Scanner;

/// What a rule looks for, and a text that it matches.
#[derive(Clone)]
pub(crate) struct Signature {
    pub(crate) matches: Match,
    pub(crate) example: String,
    pub(crate) app: Option<&'static str>,
}

impl Signature {
    fn text(text: &str) -> Self {
        Self::any([text])
    }

    fn any<const N: usize>(texts: [&str; N]) -> Self {
        let item = |text: &str| Item::Text {
            text: text.to_owned(),
            ignore_case: false,
        };
        Self {
            example: texts[0].to_owned(),
            matches: Match {
                any: texts.map(item).into(),
                ..Match::default()
            },
            app: None,
        }
    }

    fn regex(source: &str, example: &str) -> Self {
        let pattern = Pattern::compile(source, false).expect("the bench's own expressions compile");
        Self {
            example: example.to_owned(),
            matches: Match {
                any: vec![Item::Regex(pattern)],
                ..Match::default()
            },
            app: None,
        }
    }
}

/// The rules that ship, and lines that they catch. `TROMMEL_BENCH_RULES` names a directory of others to take instead.
pub(crate) fn shipped() -> (Arc<RuleSet>, Vec<String>) {
    let sources = match std::env::var_os("TROMMEL_BENCH_RULES") {
        Some(directory) => read_paths(&[directory.into()]).sources,
        None => builtin(),
    };
    let loaded = load(&sources, &LoadOptions::default());
    let rules = loaded.set.expect("the rules that ship are valid");
    let examples = loaded
        .examples
        .into_iter()
        .filter(|example| example.must_match);
    (
        Arc::new(rules),
        examples.map(|example| example.line).collect(),
    )
}

/// Those five of `rules` that are looked for by the fewest literals: what any set of rules costs at least.
pub(crate) fn five_simplest(
    (rules, examples): &(Arc<RuleSet>, Vec<String>),
) -> (Arc<RuleSet>, Vec<String>) {
    let scanner = Scanner::new(rules.clone());
    let literals = scanner
        .literals()
        .into_iter()
        .map(|literals| literals.len());
    let mut simplest: Vec<_> = (literals.zip(&rules.rules))
        .filter(|(literals, _)| *literals > 0)
        .collect();
    simplest.sort_by_key(|(literals, rule)| (*literals, rule.id.clone()));
    let five = simplest.iter().take(5).map(|(_, rule)| {
        let mut rule = Rule::clone(rule);
        // Alone, it has no other to leave lines to.
        rule.matches.none.clear();
        Arc::new(rule)
    });
    let rules = RuleSet {
        rules: five.collect(),
        ..RuleSet::default()
    };
    (Arc::new(rules), examples.clone())
}

/// 140 rules of texts, 146 texts in all, and 60 of expressions; every fifth reads one app only.
pub(crate) fn two_hundred() -> Vec<Signature> {
    mixed(140, 60)
}

/// The same kinds, five times as many.
pub(crate) fn thousand() -> Vec<Signature> {
    mixed(700, 300)
}

/// The same kinds, twenty-five times as many.
pub(crate) fn five_thousand() -> Vec<Signature> {
    mixed(3500, 1500)
}

fn mixed(texts: usize, expressions: usize) -> Vec<Signature> {
    let subjects = SUBJECTS
        .iter()
        .flat_map(|subject| FAILURES.iter().map(move |failure| (subject, failure)));
    // Neighbours in the list share a subject; steps through it mix them.
    let pairs: Vec<_> = subjects.collect();
    // Where they are used up, a number makes new ones of them.
    let pair = |number: usize| {
        let (subject, failure) = pairs[number * 37 % pairs.len()];
        match number / pairs.len() {
            0 => ((*subject).to_owned(), *failure),
            round => (format!("{subject} {round}"), *failure),
        }
    };

    let mut signatures: Vec<_> = (KNOWN.iter().map(|text| Signature::text(text))).collect();
    for number in 0.. {
        if signatures.len() >= texts {
            break;
        }
        let (subject, failure) = pair(number);
        signatures.push(Signature::text(&format!("{subject} {failure}")));
    }
    signatures.truncate(texts);
    for number in 0..expressions {
        let (subject, failure) = pair(number + texts);
        signatures.push(match number % 6 {
            0 => Signature::regex(
                &format!(r"{subject}\[\d+\]: .*{failure}"),
                &format!("{subject}[123]: it {failure}"),
            ),
            1 => Signature::regex(
                &format!(r"(?:{subject}|{failure}) after \d+ attempts"),
                &format!("{failure} after 3 attempts"),
            ),
            2 => Signature::regex(
                &format!(r"{failure} for user (?P<user>\S+) from (?P<ip>\S+)"),
                &format!("{failure} for user bob from 10.0.0.1"),
            ),
            3 => Signature::regex(
                &format!(r"(?i){subject}: {failure}"),
                &format!("{subject}: {failure}").to_uppercase(),
            ),
            4 => Signature::regex(
                &format!(r#""component":"{subject}".*"error":"[^"]*{failure}"#),
                &format!(r#"{{"component":"{subject}","error":"it {failure}"}}"#),
            ),
            _ => Signature::regex(
                &format!(r"{subject} (?:took|waited) (?:[5-9]\d{{3}}|\d{{5,}})ms.* {failure}$"),
                &format!("{subject} took 7000ms {failure}"),
            ),
        });
    }
    for signature in signatures.iter_mut().step_by(5) {
        signature.app = Some("frontend");
    }
    signatures
}

/// A rule that needs the denser sweep.
pub(crate) fn short() -> Signature {
    Signature::text("SIGBUS")
}

/// A rule that is asked about every line.
pub(crate) fn without_text() -> Signature {
    Signature::regex(r"\b5\d\d \d{7,}$", "502 12345678")
}

/// A rule that reads fields of every line.
pub(crate) fn field() -> Signature {
    let status = FieldTest {
        name: "status".to_owned(),
        accepts: vec![FieldCondition::Compare(Comparison::AtLeast, 500.0)],
    };
    Signature {
        example: "status=503".to_owned(),
        matches: Match {
            fields: vec![status],
            ..Match::default()
        },
        app: None,
    }
}

/// The rules of `signatures`, and texts that they match.
pub(crate) fn rule_set(signatures: &[Signature]) -> (Arc<RuleSet>, Vec<String>) {
    let rules = signatures.iter().enumerate();
    let rules = rules.map(|(number, signature)| Arc::new(rule(format!("r{number:04}"), signature)));
    let rules = RuleSet {
        rules: rules.collect(),
        ..RuleSet::default()
    };
    let examples = signatures.iter().map(|signature| signature.example.clone());
    (Arc::new(rules), examples.collect())
}

fn rule(id: String, signature: &Signature) -> Rule {
    let selected = signature.app.map(|app| Matcher {
        name: "app".to_owned(),
        test: Test::Equal(app.to_owned()),
    });
    Rule {
        selector: Selector(selected.into_iter().collect()),
        by: vec!["namespace".to_owned(), "app".to_owned()],
        recover: Recover::Never,
        ..Rule::new(id, signature.matches.clone())
    }
}

const KNOWN: [&str; 60] = [
    "CrashLoopBackOff",
    "Back-off restarting failed container",
    "FailedScheduling",
    "FailedMount",
    "FailedAttachVolume",
    "MountVolume.SetUp failed",
    "NodeNotReady",
    "PLEG is not healthy",
    "NetworkPluginNotReady",
    "OOMKilled",
    "Out of memory: Killed process",
    "Memory cgroup out of memory",
    "blocked for more than 120 seconds",
    "soft lockup - CPU#",
    "EXT4-fs error",
    "Buffer I/O error on dev",
    "nf_conntrack: table full",
    "neighbour table overflow",
    "No space left on device",
    "Read-only file system",
    "Too many open files",
    "Connection reset by peer",
    "Liveness probe failed",
    "Readiness probe failed",
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "ProgressDeadlineExceeded",
    "no such host",
    "server misbehaving",
    "Temporary failure in name resolution",
    "SERVFAIL",
    "certificate has expired",
    "certificate signed by unknown authority",
    "tls: handshake failure",
    "bad certificate",
    "Failed password for",
    "authentication failure",
    "Invalid user",
    "permission denied",
    "Access denied for user",
    "password authentication failed for user",
    "too many clients already",
    "deadlock detected",
    "could not serialize access",
    "could not extend file",
    "terminating connection due to administrator command",
    "replication slot",
    "Lost connection to MySQL server",
    "MISCONF Redis is configured to save RDB snapshots",
    "LOADING Redis is loading the dataset",
    "CLUSTERDOWN The cluster is down",
    "etcdserver: request timed out",
    "etcdserver: mvcc: database space exceeded",
    "lost leader",
    "raft: stopped",
    "upstream timed out",
    "no live upstreams while connecting",
    "upstream prematurely closed connection",
    "panic: runtime error",
    "java.lang.OutOfMemoryError",
];

const SUBJECTS: [&str; 28] = [
    "etcd",
    "scheduler",
    "coredns",
    "ingress controller",
    "service mesh",
    "image registry",
    "volume attachment",
    "node agent",
    "backup job",
    "message broker",
    "payment gateway",
    "identity provider",
    "session store",
    "search index",
    "object storage",
    "certificate manager",
    "config reloader",
    "autoscaler",
    "webhook",
    "admission plugin",
    "license server",
    "mail relay",
    "metrics pipeline",
    "trace collector",
    "feature flags",
    "database migration",
    "replica set",
    "leader election",
];

const FAILURES: [&str; 30] = [
    "refused the connection",
    "is out of memory",
    "lost its lease",
    "exceeded its quota",
    "cannot be reached",
    "gave up waiting",
    "was evicted",
    "returned garbage",
    "rejected our credentials",
    "has no endpoints",
    "ran into a deadlock",
    "is overloaded",
    "dropped messages",
    "failed its health check",
    "detected corruption",
    "hit the rate limit",
    "was throttled",
    "lost quorum",
    "has an expired certificate",
    "could not be resolved",
    "is running behind",
    "crashed unexpectedly",
    "stopped responding",
    "has a full queue",
    "cannot allocate",
    "violates the policy",
    "was killed by signal",
    "is not authorized",
    "timed out twice",
    "has diverged",
];

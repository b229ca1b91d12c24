//! The streams for findings and for what is made of them: made when they are missing, never altered, and looked at for what would hurt.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use serde::Deserialize;

use super::NatsSettings;
use super::jetstream::{JetStream, Trouble};
use crate::time::format_duration;

/// Makes the stream of findings if it is missing; says in one warning what matters in one that differs.
pub(super) async fn ensure(jetstream: &JetStream, settings: &NatsSettings) -> Result<(), Trouble> {
    let wanted = findings(settings);
    if let Some(actual) = look_up(jetstream).await? {
        let differences = differences(&actual, &wanted);
        if !differences.is_empty() {
            tracing::warn!(
                stream = settings.stream,
                differences = differences.join("; "),
                "the stream of findings is not as trommel would make it; it is left as it is"
            );
        }
        return Ok(());
    }
    make(jetstream, &wanted).await?;
    tracing::info!(stream = settings.stream, "made the stream of findings");
    Ok(())
}

#[derive(Deserialize)]
struct Info {
    config: Config,
}

/// The stream as it is; `None` when there is none.
pub(super) async fn look_up(jetstream: &JetStream) -> Result<Option<Config>, Trouble> {
    match jetstream
        .api::<Info>("STREAM.INFO", &serde_json::json!({}))
        .await
    {
        Ok(Ok(Info { config })) => Ok(Some(config)),
        Ok(Err((_, text))) => Err(Trouble::Server(text)),
        Err(Trouble::StreamMissing(_)) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// Makes a stream that is missing.
pub(super) async fn make(jetstream: &JetStream, wanted: &Config) -> Result<(), Trouble> {
    match jetstream.api::<Info>("STREAM.CREATE", wanted).await? {
        Ok(_) => Ok(()),
        // Somebody else was faster; what they made is looked at in the next attempt.
        Err((ErrorCode::STREAM_NAME_EXIST, _)) => Err(Trouble::Raced),
        Err((_, text)) => Err(Trouble::Server(format!(
            "cannot make stream `{}`: {text}",
            wanted.name
        ))),
    }
}

/// The stream as trommel makes it: a week of findings, the present state of each even if nobody reads for long.
pub(super) fn findings(settings: &NatsSettings) -> Config {
    Config {
        description: Some("Findings of trommel: CloudEvents, one subject for each key".to_owned()),
        max_bytes: 256 * 1024 * 1024,
        max_messages_per_subject: 32,
        ..limited(&settings.stream, &settings.subject_prefix, 7)
    }
}

/// The streams for what consumers make of findings. Trommel itself neither writes nor reads them.
pub(super) fn of_consumers() -> [Config; 4] {
    [
        (
            "OPS_INCIDENTS",
            "ops.incidents",
            90,
            "Incidents that findings belong to",
        ),
        (
            "OPS_APPROVALS",
            "ops.approvals",
            30,
            "Actions that wait for somebody's word, and the word",
        ),
        (
            "OPS_REMEDIATIONS",
            "ops.remediations",
            90,
            "Actions that were taken, and their outcome",
        ),
        (
            "OPS_CHATOPS",
            "ops.chatops",
            30,
            "What people and programs say to each other about them",
        ),
    ]
    .map(|(name, prefix, days, description)| Config {
        description: Some(description.to_owned()),
        max_bytes: 128 * 1024 * 1024,
        ..limited(name, prefix, days)
    })
}

/// A stream on disk that keeps what comes below `prefix` for some days, the newest where it is full.
fn limited(name: &str, prefix: &str, days: u64) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![format!("{prefix}.>")],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        max_age: Duration::from_secs(days * 86_400),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: 64 * 1024,
        max_consumers: -1,
        num_replicas: 1,
        duplicate_window: Duration::from_secs(600),
        ..Config::default()
    }
}

/// What in `actual` would lose messages, lose them earlier, or keep them out. More of anything is fine, and so is
/// another duplicate window, on which nothing depends.
pub(super) fn differences(actual: &Config, wanted: &Config) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differs = |condition: bool, text: String| {
        if condition {
            differences.push(text);
        }
    };
    let subject = &wanted.subjects[0];
    differs(
        !actual
            .subjects
            .iter()
            .any(|filter| captures(filter, subject)),
        format!("subjects {:?} do not capture {subject}", actual.subjects),
    );
    differs(
        actual.retention != wanted.retention,
        format!(
            "retention is {:?}, not Limits: messages vanish when they are read",
            actual.retention
        ),
    );
    differs(
        actual.discard != wanted.discard,
        "discard is New: a full stream refuses messages".to_owned(),
    );
    differs(
        actual.storage != wanted.storage,
        "storage is Memory".to_owned(),
    );
    differs(
        actual.no_ack,
        "no_ack is set: nothing is ever acknowledged".to_owned(),
    );
    differs(actual.sealed, "it is sealed".to_owned());
    differs(
        !actual.max_age.is_zero() && actual.max_age < wanted.max_age,
        format!(
            "max_age is {}, below {}",
            format_duration(actual.max_age),
            format_duration(wanted.max_age)
        ),
    );
    for (name, actual, wanted) in [
        ("max_bytes", actual.max_bytes, wanted.max_bytes),
        (
            "max_msgs_per_subject",
            actual.max_messages_per_subject,
            wanted.max_messages_per_subject,
        ),
        (
            "max_msg_size",
            actual.max_message_size.into(),
            wanted.max_message_size.into(),
        ),
    ] {
        // 0 and -1 mean no limit.
        if wanted > 0 {
            differs(
                actual > 0 && actual < wanted,
                format!("{name} is {actual}, below {wanted}"),
            );
        } else {
            differs(actual > 0, format!("{name} is {actual}, not without limit"));
        }
    }
    differs(
        actual.num_replicas < wanted.num_replicas,
        format!(
            "num_replicas is {}, below {}",
            actual.num_replicas, wanted.num_replicas
        ),
    );
    differences
}

/// Whether the subject filter `filter` captures all that `subject`, which ends with `>`, stands for.
fn captures(filter: &str, subject: &str) -> bool {
    let mut filter = filter.split('.');
    for token in subject.split('.') {
        match filter.next() {
            Some(">") => return true,
            Some("*") if token != ">" => {}
            Some(same) if same == token => {}
            _ => return false,
        }
    }
    filter.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Config {
        findings(&NatsSettings::new("nats://localhost".to_owned()))
    }

    #[test]
    fn a_stream_that_keeps_more_is_as_good() {
        let more = Config {
            subjects: vec!["other".to_owned(), "ops.>".to_owned()],
            max_age: Duration::ZERO,
            max_bytes: -1,
            max_message_size: -1,
            max_messages_per_subject: 100,
            num_replicas: 3,
            duplicate_window: Duration::from_secs(120),
            ..ours()
        };
        assert_eq!(differences(&more, &ours()), Vec::<String>::new());
        assert_eq!(differences(&ours(), &ours()), Vec::<String>::new());
    }

    #[test]
    fn what_would_lose_findings_is_named() {
        let less = Config {
            subjects: vec!["ops.findings.*".to_owned()],
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::New,
            storage: StorageType::Memory,
            no_ack: true,
            max_age: Duration::from_secs(3600),
            max_message_size: 1000,
            ..ours()
        };
        expect_test::expect![[r#"
            subjects ["ops.findings.*"] do not capture ops.findings.>
            retention is WorkQueue, not Limits: messages vanish when they are read
            discard is New: a full stream refuses messages
            storage is Memory
            no_ack is set: nothing is ever acknowledged
            max_age is 1h, below 7d
            max_msg_size is 1000, below 65536"#]]
        .assert_eq(&differences(&less, &ours()).join("\n"));
    }

    #[test]
    fn fewer_replicas_and_limits_where_there_should_be_none_are_named() {
        let [incidents, ..] = of_consumers();
        let wanted = Config {
            num_replicas: 3,
            ..incidents.clone()
        };
        let actual = Config {
            max_messages_per_subject: 1,
            ..incidents
        };
        expect_test::expect![[r#"
            max_msgs_per_subject is 1, not without limit
            num_replicas is 1, below 3"#]]
        .assert_eq(&differences(&actual, &wanted).join("\n"));
    }

    #[test]
    fn filters_capture_what_nats_says_they_do() {
        for (filter, captured) in [
            (">", true),
            ("ops.>", true),
            ("*.findings.>", true),
            ("ops.findings.>", true),
            ("ops.findings.*", false),
            ("ops.findings", false),
            ("ops.findings.a.>", false),
            ("ops.other.>", false),
        ] {
            assert_eq!(captures(filter, "ops.findings.>"), captured, "{filter}");
        }
    }
}

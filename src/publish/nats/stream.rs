//! The stream that findings go to: made when it is missing, never altered, and looked at for what would hurt.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use serde::Deserialize;

use super::NatsSettings;
use super::jetstream::{JetStream, Trouble};
use crate::time::format_duration;

/// Makes the stream if it is missing; says in one warning what matters in one that differs.
pub(super) async fn ensure(jetstream: &JetStream, settings: &NatsSettings) -> Result<(), Trouble> {
    #[derive(Deserialize)]
    struct Info {
        config: Config,
    }
    let wanted = wanted(settings);
    match jetstream
        .api::<Info>("STREAM.INFO", &serde_json::json!({}))
        .await
    {
        Ok(Ok(Info { config })) => {
            let differences = differences(&config, &wanted);
            if !differences.is_empty() {
                tracing::warn!(
                    stream = settings.stream,
                    differences = differences.join("; "),
                    "the stream of findings is not as trommel would make it; it is left as it is"
                );
            }
            Ok(())
        }
        Ok(Err((_, text))) => Err(Trouble::Server(text)),
        Err(Trouble::StreamMissing(_)) => {
            match jetstream.api::<Info>("STREAM.CREATE", &wanted).await? {
                Ok(_) => {
                    tracing::info!(stream = settings.stream, "made the stream of findings");
                    Ok(())
                }
                // Somebody else was faster; what they made is looked at in the next attempt.
                Err((ErrorCode::STREAM_NAME_EXIST, _)) => Err(Trouble::Raced),
                Err((_, text)) => Err(Trouble::Server(format!(
                    "cannot make stream `{}`: {text}",
                    settings.stream
                ))),
            }
        }
        Err(trouble) => Err(trouble),
    }
}

/// The stream as trommel makes it: a week of findings, the present state of each even if nobody reads for long.
fn wanted(settings: &NatsSettings) -> Config {
    Config {
        name: settings.stream.clone(),
        description: Some("Findings of trommel: CloudEvents, one subject for each key".to_owned()),
        subjects: vec![format!("{}.>", settings.subject_prefix)],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        max_age: Duration::from_secs(7 * 86_400),
        max_bytes: 256 * 1024 * 1024,
        max_messages: -1,
        max_messages_per_subject: 32,
        max_message_size: 64 * 1024,
        max_consumers: -1,
        num_replicas: 1,
        duplicate_window: Duration::from_secs(600),
        ..Config::default()
    }
}

/// What in `actual` would lose messages, lose them earlier, or keep them out. More of anything is fine, and so are
/// replicas and the duplicate window, on which nothing depends.
fn differences(actual: &Config, wanted: &Config) -> Vec<String> {
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
            "retention is {:?}, not Limits: findings vanish when they are read",
            actual.retention
        ),
    );
    differs(
        actual.discard != wanted.discard,
        "discard is New: a full stream refuses findings".to_owned(),
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
        differs(
            actual > 0 && actual < wanted,
            format!("{name} is {actual}, below {wanted}"),
        );
    }
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
        wanted(&NatsSettings::new("nats://localhost".to_owned()))
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
            retention is WorkQueue, not Limits: findings vanish when they are read
            discard is New: a full stream refuses findings
            storage is Memory
            no_ack is set: nothing is ever acknowledged
            max_age is 1h, below 7d
            max_msg_size is 1000, below 65536"#]]
        .assert_eq(&differences(&less, &ours()).join("\n"));
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

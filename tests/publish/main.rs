//! Publishing to a real `nats-server` on a bad day: killed, late, hanging, forbidding, and with acks lost on the way.
//!
//! Where there is no `nats-server`, every test says so and passes.

mod nats;
mod owner;
mod proxy;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream;
use trommel::finding::{
    Counts, Coverage, Detector, Evidence, Finding, LogsLink, Message, MessageSettings, Origin,
    Policy, Reason, RuleRef, State, finding_key, finding_schema,
};
use trommel::publish::{Create, NatsSettings, Pending, Status, publish_to_nats};
use trommel::rules::{Confidence, Severity};
use trommel::time::Timestamp;

use nats::{NatsServer, Stored, within};
use owner::Owner;
use proxy::{Fault, Proxy};

/// A message that does not need to be a real finding.
fn message(seq: i64, finding: &str, revision: u32) -> Pending {
    Pending {
        seq,
        id: format!("{finding}:{revision}"),
        finding_id: finding.to_owned(),
        subject: format!("ops.findings.test.test.{finding}"),
        headers: vec![("Trommel-Rule".to_owned(), "test".to_owned())],
        body: format!(r#"{{"id":"{finding}:{revision}"}}"#).into_bytes(),
    }
}

/// Settings that try again quickly.
fn settings(url: &str) -> NatsSettings {
    NatsSettings {
        ack_timeout: Duration::from_millis(500),
        retry_max: Duration::from_millis(50),
        ..NatsSettings::new(url.to_owned())
    }
}

/// Starts a publisher for what `owner` holds.
fn publish(owner: &Owner, settings: NatsSettings) -> Arc<Status> {
    let status = Arc::new(Status::default());
    let (outbox, shared) = (owner.outbox(), Arc::clone(&status));
    tokio::spawn(async move {
        publish_to_nats(outbox, &settings, shared)
            .await
            .expect("the settings are valid")
    });
    status
}

fn ids(stored: &[Stored]) -> Vec<&str> {
    stored.iter().map(|message| message.id.as_str()).collect()
}

fn finding() -> Finding {
    Finding {
        schema_version: 1,
        finding_id: "5f1d6c0e2b7a4f90".to_owned(),
        revision: 1,
        state: State::Open,
        reason: Reason::Opened,
        source: "logs".to_owned(),
        domain: "identity_security".to_owned(),
        incident_type: "identity_provider_unreachable".to_owned(),
        severity: Severity::Warning,
        severity_max: Severity::Warning,
        confidence: Confidence::High,
        summary: "LDAP fails".to_owned(),
        dedupe_key: "ldap{namespace=a}".to_owned(),
        resource_scope: [("namespace".to_owned(), "a".to_owned())].into(),
        rule: RuleRef {
            id: "ldap".to_owned(),
            version: None,
            hash: "9c1e5b7a90d2f364".to_owned(),
            owner: None,
            class: "threshold".to_owned(),
            condition: "5 in 10m".to_owned(),
        },
        counts: Counts::default(),
        first_seen: Timestamp::new(0),
        last_seen: Timestamp::new(0),
        observed_at: Timestamp::new(0),
        recovered_at: None,
        evidence: Evidence {
            redacted: true,
            ..Evidence::default()
        },
        logs: LogsLink::default(),
        policy: Policy::default(),
        runbook: None,
        route: None,
        hints: Vec::new(),
        related: Vec::new(),
        detector: Detector {
            name: "trommel".to_owned(),
            version: "0.1.0".to_owned(),
            coverage: Coverage::Complete,
        },
        finding_key: String::new(),
        time: Timestamp::new(0),
    }
}

#[tokio::test]
async fn a_finding_is_published_once_into_a_stream_that_is_made_for_it() {
    let Some(server) = NatsServer::start(&[]) else {
        return;
    };
    let origin = Origin {
        cluster: "c".to_owned(),
        environment: String::new(),
        instance: "default".to_owned(),
        grafana: None,
    };
    let key = finding_key("c", "", "ldap{namespace=a}");
    let sent = Message::new(&finding(), &key, &origin, &MessageSettings::default());
    let owner = Owner::new(vec![Pending::new(1, sent.clone())]);
    let status = publish(&owner, settings(&server.url()));
    assert_eq!(owner.wait_for_sent(1).await, [1]);

    let stored = server.stored().await;
    assert_eq!(ids(&stored), ["5f1d6c0e2b7a4f90:1"]);
    assert_eq!(
        stored[0].subject,
        format!("ops.findings.identity_security.identity_provider_unreachable.{key}")
    );
    assert_eq!(stored[0].body, sent.body);
    for (name, value) in [
        ("Content-Type", "application/cloudevents+json"),
        ("Nats-Expected-Stream", "OPS_FINDINGS"),
        ("Trommel-State", "open"),
        ("Trommel-Severity", "warning"),
        ("Trommel-Rule", "ldap"),
    ] {
        assert_eq!(
            stored[0].headers.get(name).map(|value| value.as_str()),
            Some(value)
        );
    }
    let event: serde_json::Value = serde_json::from_slice(&stored[0].body).expect("JSON");
    jsonschema::validate(&finding_schema(), &event).expect("the message is as its schema says");

    let config = server.stream_config().await.expect("the stream was made");
    assert_eq!(config.subjects, ["ops.findings.>"]);
    assert_eq!(config.max_age, Duration::from_secs(7 * 86_400));
    assert_eq!(
        (
            config.max_bytes,
            config.max_messages_per_subject,
            config.max_message_size
        ),
        (268_435_456, 32, 65_536)
    );
    assert_eq!(
        (config.num_replicas, config.duplicate_window),
        (1, Duration::from_secs(600))
    );
    assert_eq!(
        (config.storage, config.discard),
        (stream::StorageType::File, stream::DiscardPolicy::Old)
    );
    assert!(status.connected() && status.last_ack().is_some() && status.trouble().is_none());
}

#[tokio::test]
async fn a_server_that_starts_late_gets_everything_in_order_once() {
    let Some(mut server) = NatsServer::start(&[]) else {
        return;
    };
    server.kill();
    let messages: Vec<_> = (1..=20)
        .map(|seq| message(seq, &format!("f{}", seq % 3), seq as u32))
        .collect();
    let expected: Vec<_> = messages.iter().map(|message| message.id.clone()).collect();
    let owner = Owner::new(messages);
    let status = publish(&owner, settings(&server.url()));
    within("the publisher to say that nats is away", || {
        status.trouble().is_some()
    })
    .await;
    assert!(!status.connected());
    server.restart();
    owner.wait_for_sent(20).await;
    assert_eq!(ids(&server.stored().await), expected);
}

#[tokio::test]
async fn what_comes_while_the_publisher_waits_is_sent_at_once() {
    let Some(server) = NatsServer::start(&[]) else {
        return;
    };
    let owner = Owner::new(Vec::new());
    publish(&owner, settings(&server.url()));
    for seq in 1..=3 {
        owner.put(message(seq, "f", seq as u32));
        owner.wait_for_sent(seq as usize).await;
    }
    assert_eq!(ids(&server.stored().await), ["f:1", "f:2", "f:3"]);
}

#[tokio::test]
async fn a_server_that_is_killed_before_its_ack_arrives_has_the_message_once() {
    let Some(mut server) = NatsServer::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port(), Fault::LoseAck).await;
    let owner = Owner::new(vec![message(1, "a", 1), message(2, "b", 1)]);
    publish(&owner, settings(&proxy.url()));
    proxy.wait_for_fault().await;
    server.kill();
    server.restart();
    proxy.recover();
    owner.wait_for_sent(2).await;
    assert_eq!(ids(&server.stored().await), ["a:1", "b:1"]);
}

#[tokio::test]
async fn a_server_that_is_killed_before_it_saw_the_message_gets_it_again() {
    let Some(mut server) = NatsServer::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port(), Fault::Hold).await;
    let owner = Owner::new(vec![message(1, "a", 1), message(2, "b", 1)]);
    publish(&owner, settings(&proxy.url()));
    proxy.wait_for_fault().await;
    server.kill();
    server.restart();
    proxy.recover();
    owner.wait_for_sent(2).await;
    assert_eq!(ids(&server.stored().await), ["a:1", "b:1"]);
}

#[tokio::test]
async fn a_lost_ack_is_looked_up_when_the_duplicate_window_is_long_over() {
    let Some(server) = NatsServer::start(&[]) else {
        return;
    };
    server.make_stream(short_window()).await;
    let proxy = Proxy::start(server.port(), Fault::LoseAck).await;
    let owner = Owner::new(vec![message(1, "a", 1)]);
    publish(&owner, settings(&proxy.url()));
    proxy.wait_for_fault().await;
    server.wait_for_duplicate_window().await;
    proxy.recover();
    owner.wait_for_sent(1).await;
    assert_eq!(ids(&server.stored().await), ["a:1"]);
}

#[tokio::test]
async fn a_message_that_hung_on_its_way_and_arrives_late_is_not_stored_twice() {
    let Some(server) = NatsServer::start(&[]) else {
        return;
    };
    server.make_stream(short_window()).await;
    let proxy = Proxy::start(server.port(), Fault::Hold).await;
    let owner = Owner::new(vec![message(1, "a", 1), message(2, "a", 2)]);
    // The first connection hangs; those that follow do not.
    proxy.recover();
    publish(
        &owner,
        NatsSettings {
            ack_timeout: Duration::from_millis(200),
            ..settings(&proxy.url())
        },
    );
    owner.wait_for_sent(2).await;
    assert_eq!(ids(&server.stored().await), ["a:1", "a:2"]);
    server.wait_for_duplicate_window().await;
    let answer = proxy.release_held().await;
    assert!(answer.contains("wrong last sequence"), "{answer}");
    assert_eq!(ids(&server.stored().await), ["a:1", "a:2"]);
}

#[tokio::test]
async fn a_restart_of_trommel_sends_nothing_again() {
    let Some(server) = NatsServer::start(&[]) else {
        return;
    };
    server.make_stream(short_window()).await;
    // The acks of these were never recorded.
    let unrecorded = vec![message(1, "a", 1), message(2, "a", 2), message(3, "b", 1)];
    let first = Owner::new(unrecorded.clone());
    publish(&first, settings(&server.url()));
    first.wait_for_sent(3).await;
    drop(first);
    server.wait_for_duplicate_window().await;
    let second = Owner::new(unrecorded.into_iter().chain([message(4, "b", 2)]).collect());
    publish(&second, settings(&server.url()));
    assert_eq!(second.wait_for_sent(4).await, [1, 2, 3, 4]);
    assert_eq!(ids(&server.stored().await), ["a:1", "a:2", "b:1", "b:2"]);
}

#[tokio::test]
async fn killing_the_server_again_and_again_loses_repeats_and_reorders_nothing() {
    let Some(mut server) = NatsServer::start(&[]) else {
        return;
    };
    let messages: Vec<_> = (1..=300)
        .map(|seq| message(seq, &format!("f{}", seq % 20), seq as u32))
        .collect();
    let expected: Vec<_> = messages.iter().map(|message| message.id.clone()).collect();
    let owner = Owner::new(messages);
    publish(&owner, settings(&server.url()));
    for count in [40, 130, 220] {
        owner.wait_for_sent(count).await;
        server.kill();
        server.restart();
    }
    owner.wait_for_sent(300).await;
    assert_eq!(ids(&server.stored().await), expected);
}

#[tokio::test]
async fn a_message_that_the_stream_refuses_holds_up_only_its_own_finding() {
    let Some(server) = NatsServer::start(&[]) else {
        return;
    };
    let small = stream::Config {
        max_message_size: 1000,
        ..nats::stream_config()
    };
    server.make_stream(small.clone()).await;
    let large = Pending {
        body: vec![b' '; 2000],
        ..message(1, "a", 1)
    };
    let owner = Owner::new(vec![
        large,
        message(2, "b", 1),
        message(3, "a", 2),
        message(4, "b", 2),
    ]);
    let status = publish(&owner, settings(&server.url()));
    assert_eq!(owner.wait_for_sent(2).await, [2, 4]);
    within("the refusal to show", || {
        status.trouble().is_some_and(|why| why.contains("a:1"))
    })
    .await;
    assert_eq!(ids(&server.stored().await), ["b:1", "b:2"]);
    // Once somebody has seen to it, the rest follows.
    server
        .update_stream(stream::Config {
            max_message_size: 4000,
            ..small
        })
        .await;
    assert_eq!(owner.wait_for_sent(4).await, [2, 4, 1, 3]);
    within("the trouble to be over", || status.trouble().is_none()).await;
}

#[tokio::test]
async fn a_stream_that_exists_is_not_altered_and_a_missing_one_is_not_made_unless_wanted() {
    let Some(server) = NatsServer::start(&[]) else {
        return;
    };
    let owner = Owner::new(vec![message(1, "a", 1)]);
    let status = publish(
        &owner,
        NatsSettings {
            create: Create::Never,
            ..settings(&server.url())
        },
    );
    within("the missing stream to show", || {
        status.trouble().as_deref() == Some("there is no stream `OPS_FINDINGS`")
    })
    .await;
    assert_eq!(server.stream_config().await, None);
    let theirs = stream::Config {
        max_age: Duration::from_secs(3600),
        ..nats::stream_config()
    };
    server.make_stream(theirs).await;
    let before = server.stream_config().await;
    owner.wait_for_sent(1).await;
    let second = Owner::new(vec![message(1, "b", 1)]);
    publish(&second, settings(&server.url()));
    second.wait_for_sent(1).await;
    assert_eq!(server.stream_config().await, before);
}

#[tokio::test]
async fn a_stream_that_does_not_capture_the_subjects_is_named() {
    let Some(server) = NatsServer::start(&[]) else {
        return;
    };
    let other = stream::Config {
        subjects: vec!["ops.findings.probe".to_owned()],
        ..nats::stream_config()
    };
    server.make_stream(other).await;
    let owner = Owner::new(vec![message(1, "a", 1)]);
    let status = publish(&owner, settings(&server.url()));
    within("the subject to show", || {
        status.trouble().is_some_and(|why| {
            why.ends_with("stream `OPS_FINDINGS` does not capture ops.findings.test.test.a")
        })
    })
    .await;
    server.update_stream(nats::stream_config()).await;
    owner.wait_for_sent(1).await;
}

#[tokio::test]
async fn a_stream_that_is_deleted_is_made_again() {
    let Some(server) = NatsServer::start(&[]) else {
        return;
    };
    let owner = Owner::new(vec![message(1, "a", 1)]);
    publish(&owner, settings(&server.url()));
    owner.wait_for_sent(1).await;
    server.delete_stream().await;
    owner.put(message(2, "b", 1));
    owner.wait_for_sent(2).await;
    assert_eq!(ids(&server.stored().await), ["b:1"]);
}

#[tokio::test]
async fn a_user_who_may_not_publish_is_told_so_and_nothing_is_lost() {
    let config = r#"
        authorization { users: [
            {user: admin, password: secret},
            {user: ops, password: "p@ss", permissions: {publish: ["$JS.API.>"], subscribe: ["_INBOX.>"]}},
        ] }"#;
    let Some(server) = NatsServer::start_with_config(config) else {
        return;
    };
    let owner = Owner::new(vec![message(1, "a", 1)]);
    let forbidden = NatsSettings {
        ack_timeout: Duration::from_millis(200),
        ..settings(&server.url_for("ops:p%40ss"))
    };
    let status = publish(&owner, forbidden);
    within("the forbidden subject to show", || {
        status.trouble().is_some_and(|why| {
            why.to_lowercase().contains("permissions violation")
                && why.contains("ops.findings.test.test.a")
        })
    })
    .await;
    assert!(status.connected());
    publish(&owner, settings(&server.url_for("admin:secret")));
    owner.wait_for_sent(1).await;
}

#[tokio::test]
async fn the_publisher_ends_when_the_owner_goes_even_if_nats_is_away() {
    let owner = Owner::new(vec![message(1, "a", 1)]);
    let status = Arc::new(Status::default());
    // Nobody listens on the discard port of this machine, or nobody who speaks NATS.
    let settings = settings("nats://127.0.0.1:9");
    let publishing = tokio::spawn({
        let (outbox, status) = (owner.outbox(), Arc::clone(&status));
        async move { publish_to_nats(outbox, &settings, status).await }
    });
    within("the publisher to try", || status.in_flight()).await;
    drop(owner);
    let ended = tokio::time::timeout(nats::PATIENCE, publishing)
        .await
        .expect("it ends");
    ended.expect("no panic").expect("the settings are valid");
}

/// A stream whose duplicate window is over before anybody notices: the shortest that NATS allows.
fn short_window() -> stream::Config {
    stream::Config {
        duplicate_window: Duration::from_millis(100),
        ..nats::stream_config()
    }
}

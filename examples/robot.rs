//! Keeps the present state of all findings, and tells what it may do about each: `robot.py` in Rust.
//!
//! ```sh
//! cargo run --example robot -- --nats nats://127.0.0.1:4222          # follows, one JSON object for each change
//! cargo run --example robot -- --nats nats://127.0.0.1:4222 --once   # prints what is open now, and ends
//! ```
//!
//! Each finding has a subject of its own, and its messages are numbered revisions. So the last message on each subject is the present state of
//! everything: the robot needs no state of its own, and after a restart, its own or the server's, it reads that anew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::{self, consumer};
use async_nats::{ConnectOptions, ServerAddr};
use clap::Parser;
use futures_util::StreamExt;
use serde_json::{Value, json};

/// The last message of each finding, by subject.
type Findings = BTreeMap<String, Value>;

/// Seconds. An open finding is told of at least once a day; one that is not has lost its trommel, and is over.
const OPEN_AT_MOST: i64 = 25 * 3600;

/// Keeps the present state of all findings, and tells what it may do about each.
#[derive(Debug, Parser)]
struct Arguments {
    /// URL of the server; a user and a password may be in it.
    #[arg(long, default_value = "nats://127.0.0.1:4222")]
    nats: ServerAddr,
    /// File of NATS credentials.
    #[arg(long)]
    credentials: Option<PathBuf>,
    /// User of the server, with --password-file.
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// File that holds the user's password and nothing else.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// Authority that has signed the server's certificate, as PEM; without it those that the system trusts.
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Print what is open now, and end.
    #[arg(long)]
    once: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments {
        nats,
        credentials,
        user,
        password_file,
        ca_file,
        once,
    } = Arguments::parse();
    let mut options = ConnectOptions::new()
        .retry_on_initial_connect()
        .event_callback(|event| async move { eprintln!("nats: {event}") });
    if let Some(file) = credentials {
        options = options.credentials_file(file).await?;
    }
    if let (Some(user), Some(file)) = (user, password_file) {
        let password = std::fs::read_to_string(file)?;
        options = options.user_and_password(user, password.trim().to_owned());
    }
    if let Some(file) = ca_file {
        options = options.add_root_certificates(file);
    }
    if let (Some(user), Some(password)) = (nats.username(), nats.password()) {
        options = options.user_and_password(user.to_owned(), password.to_owned());
    }
    let jetstream = jetstream::new(options.connect(nats).await?);
    let mut findings = Findings::new();
    // What breaks it may be that the stream is not there yet: trommel makes it.
    while let Err(error) = read(&jetstream, &mut findings, once).await {
        eprintln!("reading anew: {error:#}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for event in findings
        .values()
        .filter(|event| event["data"]["state"] == "open")
    {
        println!("{}", told(event));
    }
    Ok(())
}

/// Reads the last message of each finding, and then, unless it is only asked `once`, what follows, until something breaks.
async fn read(
    jetstream: &jetstream::Context,
    findings: &mut Findings,
    once: bool,
) -> anyhow::Result<()> {
    let stream = jetstream.get_stream("OPS_FINDINGS").await?;
    let consumer = stream
        .create_consumer(consumer::pull::Config {
            deliver_policy: consumer::DeliverPolicy::LastPerSubject,
            ack_policy: consumer::AckPolicy::None,
            // With `>` in place of these came what people did, too.
            filter_subject: "ops.findings.*.*.*".to_owned(),
            // The server forgets it when nobody asks for a minute.
            inactive_threshold: Duration::from_secs(60),
            ..consumer::pull::Config::default()
        })
        .await?;
    if once && consumer.cached_info().num_pending == 0 {
        return Ok(());
    }
    let mut messages = consumer.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let event: Value = serde_json::from_slice(&message.payload)?;
        let info = message.info().map_err(|error| anyhow::anyhow!(error))?;
        let age = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64
            - info.published.unix_timestamp();
        let pending = info.pending;
        // A stream keeps the order of a subject, so another message than the one that is known is a later one.
        let is_new = findings
            .get(message.subject.as_str())
            .is_none_or(|known| known["id"] != event["id"]);
        if is_new && !once {
            // Here it would act: what it does must be harmless when done twice, or be remembered where it is done.
            println!("{}", told(&event));
        }
        if is_new && age < OPEN_AT_MOST {
            // Of one that is over, what tells it from another is enough.
            let is_open = event["data"]["state"] == "open";
            let kept = if is_open {
                event
            } else {
                json!({"id": event["id"]})
            };
            findings.insert(message.subject.to_string(), kept);
        }
        if once && pending == 0 {
            return Ok(());
        }
    }
    anyhow::bail!("the server ended it")
}

/// What a robot needs of a message.
fn told(event: &Value) -> Value {
    let data = &event["data"];
    json!({
        "state": data["state"],
        "finding_id": data["finding_id"],
        "revision": data["revision"],
        "severity": data["severity"],
        "subject": event["subject"],
        "summary": data["summary"],
        // With a gap something was not seen: a recovery may be none.
        "certain": data["detector"]["coverage"] == "complete",
        // Whatever needs approval, or is for people only, is in `policy` too, and none of a robot's business.
        "may": if data["state"] == "open" { data["policy"]["automatic"].clone() } else { json!([]) },
    })
}

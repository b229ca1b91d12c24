//! `deploy/nats` with a real server: its configuration is valid, everybody may do what they need, and nothing else.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use async_nats::jetstream::{self, consumer, stream};
use async_nats::{Client, ConnectOptions, Event};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::rendered::{Rendered, root, text};
use crate::support::http::Request;
use crate::support::incident::{Incident, RULES};
use crate::support::nats::NatsServer;
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::tls::Authority;
use crate::support::trommel::{Setup, command};
use crate::support::wait;

/// The Secrets of `deploy/make-secrets`, and certificates.
pub(super) struct Secrets {
    made: Rendered,
    certificates: BTreeMap<String, Value>,
}

impl Secrets {
    pub(super) fn new() -> Self {
        Self::make(&[])
    }

    /// With the authority that signs certificates here.
    pub(super) fn with_authority(authority: &Authority) -> Self {
        let scratch = Scratch::new();
        let file = scratch.write("ca.crt", &authority.pem);
        Self::make(&[file.as_os_str()])
    }

    fn make(more: &[&OsStr]) -> Self {
        let mut command = Command::new(root().join("deploy/make-secrets"));
        let printed = program::succeed(command.arg("elsewhere").args(more), "");
        Self {
            made: Rendered::read("make-secrets", &printed),
            certificates: BTreeMap::new(),
        }
    }

    /// With a Secret as cert-manager keeps it, for a server of these names.
    pub(super) fn with_certificate(
        mut self,
        secret: &str,
        authority: &Authority,
        names: &[&str],
    ) -> Self {
        let pair = authority.server_called(names);
        let data =
            json!({"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority.pem});
        self.certificates.insert(secret.to_owned(), data);
        self
    }

    pub(super) fn get(&self, name: &str, key: &str) -> &str {
        text(&self.data(name)[key])
    }

    /// Everything in one.
    #[track_caller]
    pub(super) fn data(&self, name: &str) -> &Value {
        if let Some(data) = self.certificates.get(name) {
            return data;
        }
        let secret = self.made.must_get("Secret", name);
        assert_eq!(secret["metadata"]["namespace"], "elsewhere");
        &secret["stringData"]
    }
}

#[test]
fn the_secrets_are_those_that_the_overlays_name() {
    let secrets = Secrets::new();
    super::rendered::check_schemas(std::slice::from_ref(&secrets.made));
    let overlays = [
        "deploy/kustomize/overlays/demo",
        "deploy/kustomize/overlays/production",
        "deploy/nats/overlays/production",
    ];
    for overlay in overlays.into_iter().filter_map(Rendered::kustomize) {
        for (pod, template) in overlay.pods() {
            for volume in super::rendered::items(&template["spec"]["volumes"]) {
                let sources =
                    super::rendered::items(&volume["projected"]["sources"]).chain([volume]);
                let named = sources.filter_map(|source| {
                    source["secret"]["secretName"]
                        .as_str()
                        .or(source["secret"]["name"].as_str())
                });
                for name in named.filter(|name| !name.ends_with("-tls")) {
                    assert!(
                        secrets.made.get("Secret", name).is_some(),
                        "{}: {pod} wants {name}",
                        overlay.name
                    );
                }
            }
        }
    }
}

#[test]
fn the_servers_take_their_configuration() {
    let Some(server) = program::find("nats-server") else {
        return;
    };
    let secrets = Secrets::new();
    for overlay in ["small", "production"] {
        let Some(rendered) = Rendered::kustomize(&format!("deploy/nats/overlays/{overlay}")) else {
            return;
        };
        let scratch = Scratch::new();
        let pair = Authority::new("the test's authority").server();
        scratch.write("tls.crt", &pair.certificate);
        scratch.write("tls.key", &pair.key);
        scratch.write("ca.crt", &pair.certificate);
        scratch.write(
            "passwords.conf",
            secrets.get("nats-passwords", "passwords.conf"),
        );
        scratch.write(
            "accounts.conf",
            rendered.file("nats-config", "accounts.conf"),
        );
        let folder = scratch.path("");
        let folder = folder.to_str().expect("a plain name").trim_end_matches('/');
        let config = rendered
            .file("nats-config", "nats.conf")
            .replace("/etc/nats", folder);
        let config = scratch.write("nats.conf", config);
        let mut test = Command::new(&server);
        test.arg("-t")
            .arg("-c")
            .arg(config)
            .env("POD_NAME", "nats-0");
        program::succeed(&mut test, "");
    }
}

/// The one server of the small overlay, as far as it can run on a test's ports and folder, with its Secrets.
pub(super) fn small() -> Option<(NatsServer, Secrets)> {
    let secrets = Secrets::new();
    let server = server("small", &secrets, &Scratch::new())?;
    Some((server, secrets))
}

/// A server of an overlay of `deploy/nats`, as far as it can run alone and on a test's ports: with its accounts, and with its TLS where it
/// has that, whose files are put into `folder`.
pub(super) fn server(overlay: &str, secrets: &Secrets, folder: &Scratch) -> Option<NatsServer> {
    let rendered = Rendered::kustomize(&format!("deploy/nats/overlays/{overlay}"))?;
    let config = rendered.file("nats-config", "nats.conf");
    let mut kept = String::new();
    let mut in_cluster = false;
    for line in config.lines() {
        in_cluster |= line.starts_with("cluster {");
        let own = ["http:", "pid_file:", "store_dir:"];
        if !in_cluster && !own.iter().any(|key| line.trim_start().starts_with(key)) {
            kept += line;
            kept.push('\n');
        }
        in_cluster &= line != "}";
    }
    if kept.contains("tls {") {
        for file in ["tls.crt", "tls.key"] {
            folder.write(file, secrets.get("nats-tls", file));
        }
    }
    let accounts = rendered.file("nats-config", "accounts.conf").replace(
        "include ./passwords.conf",
        secrets.get("nats-passwords", "passwords.conf"),
    );
    let here = folder.path("");
    let here = here.to_str().expect("a plain name");
    let config = kept
        .replace("$POD_NAME", "nats-0")
        .replace("/etc/nats/", here)
        .replace("include ./accounts.conf", &accounts);
    NatsServer::running_with(&config)
}

/// `trommel nats setup` as the overlay's Job runs it; what it prints.
#[track_caller]
pub(super) fn set_up(nats: &NatsServer, secrets: &Secrets) -> String {
    let scratch = Scratch::new();
    let password = scratch.write("password", secrets.get("nats-setup", "password"));
    let mut setup = command();
    setup.args(["nats", "setup", "--nats", &nats.url()]);
    setup
        .env("TROMMEL_NATS_USERNAME", "setup")
        .env("TROMMEL_NATS_PASSWORD_FILE", password);
    program::succeed(&mut setup, "")
}

/// Every stream, with its subject and what it keeps, in the words of `docs/deploy.md`.
pub(super) fn streams(nats: &NatsServer, secrets: &Secrets) -> BTreeMap<String, String> {
    let password = secrets.get("nats-setup", "password").to_owned();
    let options = ConnectOptions::with_user_and_password("setup".to_owned(), password)
        .custom_inbox_prefix("_INBOX.trommel");
    runtime().block_on(async {
        let client = options.connect(nats.url()).await.expect("it may connect");
        let jetstream = jetstream::new(client);
        let mut streams = BTreeMap::new();
        for name in [
            "FINDINGS",
            "INCIDENTS",
            "REMEDIATIONS",
            "APPROVALS",
            "CHATOPS",
        ] {
            let mut stream = jetstream
                .get_stream(format!("OPS_{name}"))
                .await
                .expect("it was made");
            let config = &stream.info().await.expect("it may look").config;
            let mut keeps = format!(
                "{}: {} days, {} MiB",
                config.subjects.join(" "),
                config.max_age.as_secs() / 86_400,
                config.max_bytes >> 20
            );
            if config.max_messages_per_subject > 0 {
                keeps += &format!(
                    ", the last {} messages of each finding's subject",
                    config.max_messages_per_subject
                );
            }
            streams.insert(config.name.clone(), keeps);
        }
        streams
    })
}

#[test]
fn with_these_permissions_streams_are_made_findings_published_and_read_back_and_consumed() {
    let Some((nats, secrets)) = small() else {
        return;
    };
    expect_test::expect![[r#"
        OPS_FINDINGS     made
        OPS_INCIDENTS    made
        OPS_APPROVALS    made
        OPS_REMEDIATIONS made
        OPS_CHATOPS      made
    "#]]
    .assert_eq(&set_up(&nats, &secrets));
    let again = set_up(&nats, &secrets);
    assert_eq!(again.matches("as it should be").count(), 5, "{again}");

    let demo = Rendered::kustomize("deploy/kustomize/overlays/demo").expect("there was a kubectl");
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("nats")).expect("the target folder is writable");
    std::fs::create_dir_all(scratch.path("admin")).expect("the target folder is writable");
    scratch.write("nats/password", secrets.get("trommel-nats", "password"));
    for key in ["token", "password"] {
        scratch.write(&format!("admin/{key}"), secrets.get("trommel-admin", key));
    }
    let folder = scratch.path("");
    let folder = folder.to_str().expect("a plain name").trim_end_matches('/');
    let settings = demo
        .file("trommel-config", "trommel.yaml")
        .replace("/etc/trommel", folder)
        .replace("nats://nats.monitoring.svc:4222", &nats.url());
    // Without a data directory: the second reads back what the first has told.
    let incident = Incident::new();
    let first = Setup::new(RULES).with_settings(&settings).start();
    first.wait_for_log("open findings read back from nats");
    first.push(&incident.failures("backend"));
    let robot = Robot::new(&nats, &secrets);
    let observed = robot.next();
    assert!(
        observed.starts_with("ops.findings.identity_security.identity_provider_unreachable."),
        "{observed}"
    );
    let token = secrets.get("trommel-admin", "token");
    let reload = Request {
        method: "POST".to_owned(),
        ..Request::get("/-/reload")
    };
    let reload = reload.with_header("Authorization", format!("Bearer {token}"));
    assert_eq!(first.admin_request(&reload).status, 200);
    let audit = robot.next();
    assert!(audit.starts_with("ops.findings.audit."), "{audit}");
    let mut said = first.log();
    assert_eq!(first.terminate().code(), Some(0));
    let second = Setup::new(RULES).with_settings(&settings).start();
    second.wait_for_log("\"open\":1");
    // What people did is not read for findings.
    second.wait_for_log("\"skipped\":0");
    // What is open is not told of again, so the next is that of something else.
    second.push(&incident.failures("backend"));
    second.push(&incident.failures("frontend"));
    assert_ne!(robot.next(), observed);
    said += &second.log();
    for refusal in ["violation", "cannot publish", "cannot be read back"] {
        assert!(!said.contains(refusal), "{said}");
    }
    robot.tells_of_an_incident();
}

/// A program of an operator: a durable consumer, with the user and the password that `deploy/` has for it.
pub(super) struct Robot {
    runtime: tokio::runtime::Runtime,
    jetstream: jetstream::Context,
    consumer: consumer::PullConsumer,
}

impl Robot {
    pub(super) fn new(nats: &NatsServer, secrets: &Secrets) -> Self {
        let runtime = runtime();
        let (jetstream, consumer) = runtime.block_on(async {
            let (client, _) =
                connect(nats, "consumer", secrets.get("nats-consumer", "password")).await;
            let jetstream = jetstream::new(client);
            let stream = wait_for_stream(&jetstream).await;
            let config = consumer::pull::Config {
                durable_name: Some("robot".to_owned()),
                deliver_policy: consumer::DeliverPolicy::LastPerSubject,
                filter_subject: "ops.findings.>".to_owned(),
                ..consumer::pull::Config::default()
            };
            let consumer = stream.get_or_create_consumer("robot", config).await;
            (jetstream, consumer.expect("it may make a consumer"))
        });
        Self {
            runtime,
            jetstream,
            consumer,
        }
    }

    /// The subject of the next message, which it acknowledges.
    #[track_caller]
    pub(super) fn next(&self) -> String {
        self.runtime.block_on(async {
            // One at a time: what a larger request has been given and nobody read would come again after half a minute only.
            let batch = self
                .consumer
                .batch()
                .max_messages(1)
                .expires(wait::PATIENCE);
            let mut messages = batch.messages().await.expect("it may ask for messages");
            let message = messages
                .next()
                .await
                .expect("a message comes")
                .expect("it may read");
            message.double_ack().await.expect("it may acknowledge");
            message.subject.to_string()
        })
    }

    #[track_caller]
    fn tells_of_an_incident(&self) {
        self.runtime.block_on(async {
            let sent = self
                .jetstream
                .publish("ops.incidents.4711", "{}".into())
                .await
                .expect("it may publish");
            assert_eq!(sent.await.expect("it is stored").stream, "OPS_INCIDENTS");
        });
    }
}

async fn wait_for_stream(jetstream: &jetstream::Context) -> stream::Stream {
    jetstream
        .get_stream("OPS_FINDINGS")
        .await
        .expect("it may look at the stream")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime can be made")
}

/// A client of one of the users, and what the server complains of.
async fn connect(
    nats: &NatsServer,
    user: &str,
    password: &str,
) -> (Client, Arc<Mutex<Vec<String>>>) {
    let complaints = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&complaints);
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        .custom_inbox_prefix(format!("_INBOX.{user}"))
        .event_callback(move |event| {
            if let Event::ServerError(error) = event {
                heard
                    .lock()
                    .expect("nobody panics with it")
                    .push(error.to_string());
            }
            std::future::ready(())
        });
    let client = options.connect(nats.url()).await.expect("it may connect");
    (client, complaints)
}

#[test]
fn nobody_may_do_what_is_anothers() {
    let Some((nats, secrets)) = small() else {
        return;
    };
    set_up(&nats, &secrets);
    let users = [
        ("trommel", "trommel-nats"),
        ("setup", "nats-setup"),
        ("consumer", "nats-consumer"),
    ];
    for (user, secret) in users {
        let mut publishes = vec![
            "$JS.API.STREAM.DELETE.OPS_FINDINGS",
            "$JS.API.STREAM.UPDATE.OPS_FINDINGS",
            "$JS.API.STREAM.PURGE.OPS_FINDINGS",
            "$JS.API.STREAM.MSG.DELETE.OPS_FINDINGS",
            "$JS.API.CONSUMER.DELETE.OPS_FINDINGS.robot",
            "anything.else",
        ];
        if user != "trommel" {
            publishes.push("ops.findings.infrastructure.node_disk_pressure.0000000000000000");
            publishes.push("$JS.API.STREAM.MSG.GET.OPS_FINDINGS");
        }
        if user != "consumer" {
            publishes.push("ops.incidents.4711");
        }
        if user != "setup" {
            publishes.push("$JS.API.STREAM.CREATE.OPS_MORE");
        }
        let mut subscribes = vec!["ops.findings.>", "$JS.>", ">"];
        // With their own prefix as a rule; here every client has its user's name in it.
        subscribes.extend(match user {
            "consumer" => vec!["_INBOX.trommel.>"],
            _ => vec!["_INBOX.>", "_INBOX.consumer.>"],
        });
        runtime().block_on(async {
            let (client, complaints) = connect(&nats, user, secrets.get(secret, "password")).await;
            for subject in &publishes {
                client
                    .publish(*subject, "x".into())
                    .await
                    .expect("it is sent");
            }
            let mut kept = Vec::new();
            for subject in &subscribes {
                kept.push(client.subscribe(*subject).await.expect("it is sent"));
            }
            client.flush().await.expect("the server has read it");
            let forbidden = publishes.len() + subscribes.len();
            let all_heard = async {
                while complaints.lock().expect("nobody panics with it").len() < forbidden {
                    tokio::task::yield_now().await;
                }
            };
            let heard = tokio::time::timeout(wait::PATIENCE, all_heard).await;
            let complaints = complaints.lock().expect("nobody panics with it");
            assert!(
                heard.is_ok(),
                "{user}: {forbidden} attempts, and {complaints:#?}"
            );
            for subject in publishes.iter().chain(&subscribes) {
                let named = format!("\"{subject}\"").to_lowercase();
                let is_refused = complaints
                    .iter()
                    .any(|text| text.to_lowercase().contains(&named));
                assert!(is_refused, "{user} may use {subject}: {complaints:#?}");
            }
        });
    }
}

#[test]
fn a_consumer_hears_its_own_answers_and_none_of_trommels() {
    let Some((nats, secrets)) = small() else {
        return;
    };
    set_up(&nats, &secrets);
    runtime().block_on(async {
        let (trommel, _) = connect(&nats, "trommel", secrets.get("trommel-nats", "password")).await;
        let (consumer, _) =
            connect(&nats, "consumer", secrets.get("nats-consumer", "password")).await;
        let mut heard = consumer.subscribe("_INBOX.>").await.expect("it may");
        consumer.flush().await.expect("the server has read it");
        let last = "$JS.API.STREAM.MSG.GET.OPS_FINDINGS";
        let query = r#"{"last_by_subj":"ops.findings.none"}"#;
        let answer = trommel
            .request(last, query.into())
            .await
            .expect("an answer");
        assert!(answer.payload.starts_with(b"{"), "{answer:?}");
        let info = "$JS.API.STREAM.INFO.OPS_FINDINGS";
        consumer.request(info, "".into()).await.expect("an answer");
        let first = tokio::time::timeout(wait::PATIENCE, heard.next()).await;
        let first = first.expect("its own answer").expect("it is connected");
        assert!(first.subject.starts_with("_INBOX.consumer."), "{first:?}");
    });
}

#[test]
fn setup_says_what_is_wrong_with_a_stream_and_leaves_it_as_it_is() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let looked = run_setup(&nats, &["--check"]);
    assert_eq!(looked.0, Some(1));
    assert_eq!(looked.1.matches("missing").count(), 5, "{}", looked.1);
    let runtime = runtime();
    let jetstream = runtime.block_on(async {
        jetstream::new(async_nats::connect(nats.url()).await.expect("it runs"))
    });
    let odd = stream::Config {
        name: "OPS_APPROVALS".to_owned(),
        subjects: vec!["ops.approvals.>".to_owned()],
        storage: stream::StorageType::Memory,
        max_age: std::time::Duration::from_secs(3600),
        ..stream::Config::default()
    };
    runtime.block_on(async {
        jetstream
            .create_stream(odd)
            .await
            .expect("nobody forbids it")
    });
    for _ in 0..2 {
        let (exit, said) = run_setup(&nats, &[]);
        assert_eq!(exit, Some(1), "{said}");
        assert!(said.contains("OPS_APPROVALS    differs, and is left as it is: storage is Memory; max_age is 1h, below 30d\n"), "{said}");
    }
    let mut kept = runtime.block_on(async {
        jetstream
            .get_stream("OPS_APPROVALS")
            .await
            .expect("it is there")
    });
    let kept = runtime.block_on(async { kept.info().await.expect("it is there").config.clone() });
    assert_eq!(
        (kept.storage, kept.max_age.as_secs()),
        (stream::StorageType::Memory, 3600)
    );
    // What trommel itself would make is the same stream.
    let (_, said) = run_setup(&nats, &["--check"]);
    assert!(
        said.contains("OPS_FINDINGS     as it should be\n"),
        "{said}"
    );
    let (exit, said) = run_setup(&nats, &["--check", "--replicas", "3"]);
    assert_eq!(exit, Some(1));
    assert!(said.contains("num_replicas is 1, below 3"), "{said}");
}

/// `trommel nats setup` without credentials: its exit code, and what it prints.
fn run_setup(nats: &NatsServer, arguments: &[&str]) -> (Option<i32>, String) {
    let mut setup = command();
    setup
        .args(["nats", "setup", "--nats", &nats.url()])
        .args(arguments);
    let output = program::run(&mut setup, "");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn setup_that_is_not_let_in_says_so() {
    let Some((nats, _)) = small() else {
        return;
    };
    let (exit, said) = run_setup(&nats, &[]);
    assert_eq!(exit, Some(2));
    assert!(
        said.contains("nats cannot be reached within 10s: ")
            && said.to_lowercase().contains("authorization violation"),
        "{said}"
    );
}

//! The whole story in a cluster, in one test, out of the files that an operator applies: the overlay `staging` as kubectl renders it, NATS with its accounts and
//! TLS, the image's binary, Alloy's configuration, the Prometheus operator's objects, and the consumers of `examples/`.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::nats::{Secrets, server};
use super::pod::{Container, Image};
use super::rendered::{Rendered, items, text, variables};
use crate::support::alloy_file::AlloyFile;
use crate::support::follower::{Follower, example, python, rust_robot};
use crate::support::http::Request;
use crate::support::incident::Incident;
use crate::support::loki;
use crate::support::proxy::Proxy;
use crate::support::scratch::Scratch;
use crate::support::server::Server;
use crate::support::shop::Shop;
use crate::support::tls::{Authority, TlsClient};
use crate::support::wait;

/// A ConfigMap of an operator's own: a rule that recovers within seconds, so that the story is short.
const OF_A_TEAM: &str = r#"
rules:
  - id: payment_refused
    match: payment gateway refused
    threshold: 5 in 1m
    by: [namespace, app]
    severity: critical
    recover: 2s
    incident_type: error_spike
    summary: "{namespace}/{app} cannot take payments: {count} errors"
"#;

/// NATS as `deploy/nats/overlays/production` has it, but for its other two servers.
struct Nats {
    server: crate::support::nats::NatsServer,
    rendered: Rendered,
    secrets: Secrets,
    authority: Authority,
    /// Its certificates, and what consumers read.
    folder: Scratch,
}

impl Nats {
    fn start() -> Option<Self> {
        let rendered = Rendered::kustomize("deploy/nats/overlays/production")?;
        let authority = Authority::new("the cluster's authority");
        let secrets = Secrets::with_authority(&authority)
            .with_certificate("nats-tls", &authority, &["nats", "nats.monitoring.svc"])
            .with_certificate(
                "trommel-tls",
                &authority,
                &["trommel", "trommel.monitoring.svc"],
            );
        let folder = Scratch::new();
        folder.write("password", secrets.get("nats-consumer", "password"));
        folder.write("ca.crt", &authority.pem);
        Some(Self {
            server: server("production", &secrets, &folder)?,
            rendered,
            secrets,
            authority,
            folder,
        })
    }

    /// Its streams, made as its Job makes them.
    #[track_caller]
    fn set_up(&self, image: &Image) -> Option<()> {
        let job = self.rendered.must_get("Job", "nats-setup");
        let template = &job["spec"]["template"];
        let said = Container::new(image, (&self.rendered, template, "setup"), &self.secrets)
            .with_argument("3", "1")
            .reaching(&self.rendered, "nats", self.server.address())
            .run()?;
        assert_eq!(said.matches(" made\n").count(), 5, "{said}");
        Some(())
    }

    /// A program of `examples/`, with what a consumer has.
    fn consumer(&self, program: &str) -> Option<Command> {
        let url = self.server.url();
        let mut command = match program {
            "robot.rs" => {
                let mut robot = Command::new(rust_robot()?);
                robot.args(["--nats", &url]);
                robot
            }
            _ => example(&python()?, program, &url),
        };
        command.args(["--user", "consumer", "--password-file"]);
        command.arg(self.folder.path("password"));
        command.arg("--ca-file").arg(self.folder.path("ca.crt"));
        Some(command)
    }
}

#[test]
fn in_a_cluster_a_failure_reaches_robot_and_people_and_only_a_trommel_that_is_gone_alerts() {
    let (Some(image), Some(staging), Some(nats), Some(alertmanager)) = (
        Image::new(),
        Rendered::kustomize("deploy/kustomize/overlays/staging"),
        Nats::start(),
        Server::alertmanager(),
    ) else {
        return;
    };
    if nats.set_up(&image).is_none() {
        return;
    }
    let container = Container::trommel(&image, &staging, &nats.secrets)
        .reaching(&nats.rendered, "nats", nats.server.address())
        .with_file("/etc/trommel/rules/of_a_team.yaml", OF_A_TEAM)
        .with_more_in(
            "/etc/trommel/config/trommel.yaml",
            "\ndetect: {late_by: 1s}\n",
        );
    let Some(trommel) = container.start() else {
        return;
    };
    let of = |name: &str| nats.secrets.get("trommel-admin", name);
    let trommel = trommel.with_authorization(&format!("Bearer {}", of("token")));
    let loki = Proxy::start(None, []);
    let alloy = alloy(&staging);
    let failure = "ERROR shop: payment gateway refused the card";
    let shop = Shop::open(&alloy, &loki, trommel.push_address(), failure);
    let metrics = shop.metrics();
    let scratch = Scratch::new();
    let scraped = json!({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.address]}]}]},
        "scrape_configs": [
            of_service(&staging, &nats.secrets, &scratch, trommel.admin_address()),
            of_pod(&staging, metrics.address()),
        ],
    });
    let (Some(prometheus), Some(robot), Some(mut bridge)) = (
        Server::prometheus(&scraped.to_string(), &[("rules.yaml", alerts(&staging))]),
        nats.consumer("robot.py"),
        nats.consumer("alertmanager.py"),
    ) else {
        return;
    };
    let robot = Follower::start(robot);
    let people = format!("http://{}", alertmanager.address);
    bridge.args(["--alertmanager", &people, "--interval", "600"]);
    let _bridge = Follower::start(bridge);

    shop.fails(true);
    let told = |state: &str| {
        let told = robot.told("robot").into_iter();
        told.filter(|one| {
            one["subject"]
                .as_str()
                .is_some_and(|it| it.starts_with("payment_refused"))
        })
        .find(|one| one["state"] == state)
    };
    let opened = wait::until("the robot to know", || told("open"));
    assert_eq!(opened["severity"], "critical");
    assert_eq!(opened["certain"], true);
    let alert_of = |name: &str, value: &str| {
        let mut alerts = alertmanager.alerts()?.into_iter();
        alerts.find(|alert| alert["labels"][name] == value)
    };
    let alert = wait::until("people to know", || alert_of("rule", "payment_refused"));
    assert_eq!(alert["labels"]["finding_id"], opened["finding_id"]);
    assert_eq!(alert["labels"]["cluster"], "staging");
    assert_eq!(alert["receivers"][0]["name"], "on-call", "it is critical");
    let link = text(&alert["generatorURL"]);
    assert!(
        link.starts_with("https://grafana.example/explore?"),
        "{link}"
    );
    wait::until("the recorded figure", || {
        let open = prometheus.query(r#"ops_findings_by_type{incident_type="error_spike"}"#);
        (open.expect("a query").first()?["value"][1] == "1").then_some(())
    });

    // Whoever looks with a browser is asked for a password, and has one.
    let basic = STANDARD.encode(format!("operator:{}", of("password")));
    let as_operator = |path: &str| {
        let request = Request::get(path).with_header("Authorization", format!("Basic {basic}"));
        trommel.admin_request(&request)
    };
    assert!(
        as_operator("/api/v1/findings?state=open")
            .text()
            .contains("payment_refused")
    );
    assert_eq!(as_operator("/").status, 200);
    let asked = trommel.admin_request(&Request::get("/"));
    let challenges = asked
        .headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate");
    assert!(
        asked.status == 401
            && challenges
                .clone()
                .any(|(_, value)| value.starts_with("Basic "))
    );
    // The overlay's own threshold is in use.
    let rules: Value = serde_json::from_slice(&trommel.admin("/api/v1/rules").body).expect("JSON");
    let crash_loop = items(&rules["rules"]).find(|rule| rule["id"] == "crash_loop");
    let written = staging.file("trommel-rules", "thresholds.yaml");
    let written: Value = serde_saphyr::from_str(written).expect("YAML");
    let extended = items(&written["rules"]).find(|rule| rule["extends"] == "crash_loop");
    let own = &extended.expect("it is what staging is told for")["threshold"];
    assert_eq!(crash_loop.expect("it ships")["condition"], *own);

    shop.fails(false);
    let over = wait::until("the robot to know of the end", || told("recovered"));
    assert_eq!(over["finding_id"], opened["finding_id"]);
    wait::until("people to know of the end", || {
        alert_of("rule", "payment_refused").is_none().then_some(())
    });

    // All rules were evaluated, on all that there is, and none had anything to say.
    wait::until("every rule to be evaluated", || {
        let groups = prometheus.json("/api/v1/rules")?;
        let rules = items(&groups["data"]["groups"]).flat_map(|group| items(&group["rules"]));
        let rules: Vec<_> = rules.map(|rule| rule["health"] == "ok").collect();
        (rules.len() > 20 && !rules.contains(&false)).then_some(())
    });
    wait::until("both ways to be measured", || {
        let sent = prometheus.query("ops_tee_entries_ratio").expect("a query");
        let ratio: f64 = sent.first()?["value"][1].as_str()?.parse().ok()?;
        (ratio > 0.9).then_some(())
    });
    // Those that tell of a slow machine are left out. A scrape that was late makes an alert wait for a moment only.
    let calm = r#"ALERTS{alertname!~"TrommelSlow|TrommelAnswersEarly|TrommelSheds"}"#;
    wait::until("calm alerts", || {
        let alerts = prometheus.query(calm).expect("a query");
        alerts.is_empty().then_some(())
    });
    let (sent, arrived) = shop.close(&loki);
    assert_eq!(arrived, sent, "every entry reached Loki once and in order");
    let entries = trommel.metric("trommel_entries_total", "");
    assert_eq!(entries, sent.len() as f64);

    // Nobody did what the accounts forbid, and nothing was written but where it may be.
    let said = [trommel.log(), nats.server.log(), robot.errors()].concat();
    assert!(!said.to_lowercase().contains("violation"), "{said}");
    assert!(container.path("/var/lib/trommel/trommel.db").exists());
    assert_eq!(container.strays(), Vec::<String>::new());

    // It is gone, and people know, by a way that does not lead through it.
    assert_eq!(trommel.terminate().code(), Some(0));
    let gone = wait::until("the alert to fire", || alert_of("alertname", "TrommelDown"));
    assert_eq!(gone["labels"]["job"], "trommel");
    assert_eq!(gone["labels"]["severity"], "critical");
}

/// Alloy's configuration of the overlay, which must push to where its trommel listens and tell Loki of the same cluster.
#[track_caller]
fn alloy(overlay: &Rendered) -> AlloyFile {
    let text_of_it = overlay.file("alloy-config", "config.alloy");
    let alloy = AlloyFile::read(&[("config.alloy", text_of_it)]);
    let alloy = alloy.unwrap_or_else(|error| panic!("{error}"));
    let settings = overlay.settings();
    let way = alloy
        .component("loki.write.trommel")
        .expect("there is a way to trommel");
    let url = way.one("endpoint").text("url").expect("it leads somewhere");
    assert_eq!(url, format!("http://{}/loki/api/v1/push", settings.listen));
    let (deployment, _) = overlay.trommel();
    let container = items(&deployment["spec"]["template"]["spec"]["containers"])
        .find(|container| container["name"] == "alloy")
        .expect("trommel is beside Alloy");
    let told = variables(container);
    assert_eq!(told["CLUSTER"], settings.origin.cluster);
    assert_eq!(told["ENVIRONMENT"], settings.origin.environment);
    alloy
}

/// What Prometheus does for the ServiceMonitor: its operator writes something like it.
#[track_caller]
fn of_service(
    overlay: &Rendered,
    secrets: &Secrets,
    folder: &Scratch,
    address: std::net::SocketAddr,
) -> Value {
    let monitor = &overlay.must_get("ServiceMonitor", "trommel")["spec"];
    let service = overlay.must_get("Service", "trommel");
    let labels = &service["metadata"]["labels"];
    for (name, value) in monitor["selector"]["matchLabels"]
        .as_object()
        .expect("labels")
    {
        assert_eq!(labels[name], *value, "the Service is another one");
    }
    let endpoint = &monitor["endpoints"][0];
    let ports: Vec<_> = items(&service["spec"]["ports"])
        .map(|port| &port["name"])
        .collect();
    assert!(ports.contains(&&endpoint["port"]), "{ports:?}");
    let authorization = &endpoint["authorization"];
    let credentials = &authorization["credentials"];
    let token = secrets.get(text(&credentials["name"]), text(&credentials["key"]));
    json!({
        "job_name": labels[text(&monitor["jobLabel"])],
        "metrics_path": endpoint["path"],
        "authorization": {"type": authorization["type"], "credentials_file": folder.write("token", token)},
        "static_configs": [{"targets": [address]}],
    })
}

/// What it does for the PodMonitor of Alloy, which must be on a port of its pod.
#[track_caller]
fn of_pod(overlay: &Rendered, address: std::net::SocketAddr) -> Value {
    let monitor = &overlay.must_get("PodMonitor", "alloy")["spec"];
    let (deployment, _) = overlay.trommel();
    let pod = &deployment["spec"]["template"];
    let labels = &pod["metadata"]["labels"];
    for (name, value) in monitor["selector"]["matchLabels"]
        .as_object()
        .expect("labels")
    {
        assert_eq!(labels[name], *value, "the pod is another one");
    }
    let endpoint = &monitor["podMetricsEndpoints"][0];
    let mut ports =
        items(&pod["spec"]["containers"]).flat_map(|container| items(&container["ports"]));
    assert!(ports.any(|port| port["name"] == endpoint["port"]));
    json!({
        "job_name": labels[text(&monitor["jobLabel"])],
        "metrics_path": endpoint["path"],
        "static_configs": [{"targets": [address]}],
    })
}

/// The overlay's rules. One fires at once: nobody waits for five minutes here.
#[track_caller]
fn alerts(overlay: &Rendered) -> String {
    let mut spec = overlay.must_get("PrometheusRule", "trommel")["spec"].clone();
    let groups = spec["groups"].as_array_mut().expect("groups").iter_mut();
    let down = groups
        .flat_map(|group| group["rules"].as_array_mut().expect("rules"))
        .find(|rule| rule["alert"] == "TrommelDown")
        .expect("there is such an alert");
    down["for"] = "0s".into();
    spec.to_string()
}

#[test]
fn productions_trommel_is_ready_by_its_probes_and_takes_pushes_over_tls_from_who_has_the_token() {
    let (Some(image), Some(production), Some(nats)) = (
        Image::new(),
        Rendered::kustomize("deploy/kustomize/overlays/production"),
        Nats::start(),
    ) else {
        return;
    };
    if nats.set_up(&image).is_none() {
        return;
    }
    let container = Container::trommel(&image, &production, &nats.secrets).reaching(
        &nats.rendered,
        "nats",
        nats.server.address(),
    );
    let Some(trommel) = container.start() else {
        return;
    };
    let client = TlsClient::new(&nats.authority, None);
    let (_, written) = production.trommel();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let get = &written[probe]["httpGet"];
        assert_eq!(get["scheme"], "HTTPS");
        wait::until(probe, || {
            let answer = client.send(trommel.admin_address(), &Request::get(text(&get["path"])));
            (answer.ok()?.status == 200).then_some(())
        });
    }
    let body = loki::protobuf(&Incident::new().failures("backend"));
    let push = Request::push_protobuf(body);
    let refused = client
        .send(trommel.push_address(), &push)
        .expect("an answer");
    assert_eq!(refused.status, 401);
    let token = nats.secrets.get("trommel-push", "token");
    let push = push.with_header("Authorization", format!("Bearer {token}"));
    let taken = client
        .send(trommel.push_address(), &push)
        .expect("an answer");
    assert_eq!(taken.status, 204);
    if let Some(robot) = nats.consumer("robot.rs") {
        let robot = Follower::start(robot);
        let told = wait::until("the robot to know", || robot.told("robot").pop());
        assert_eq!(told["state"], "open", "{told}");
    }
    // What is found is on the volume that stays.
    assert!(container.path("/var/lib/trommel/trommel.db").exists());
    assert_eq!(container.strays(), Vec::<String>::new());
}

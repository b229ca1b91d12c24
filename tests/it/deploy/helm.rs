//! The chart: lint, every values file of `ci/`, and the same objects as Kustomize makes for a like configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, Value};

use super::kustomize::apart;
use super::rendered::{Rendered, check_schemas, items, root, text};
use super::restricted::violations;
use crate::support::page::{found, read};
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::trommel::command;

fn chart() -> PathBuf {
    root().join("deploy/helm/trommel")
}

/// What a release `trommel` in namespace `monitoring` is made of.
#[track_caller]
fn template(name: &str, arguments: &[&str]) -> Option<Rendered> {
    let mut helm = Command::new(program::find("helm")?);
    helm.args(["template", "trommel", "--namespace", "monitoring"])
        .arg(chart());
    Some(Rendered::read(
        name,
        &program::succeed(helm.args(arguments), ""),
    ))
}

/// Every values file that comes with the chart, as an argument.
fn values() -> Vec<String> {
    let folder = chart().join("ci");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("there are values")
        .map(|entry| entry.expect("readable").path())
        .map(|path| path.to_str().expect("a plain name").to_owned())
        .collect();
    files.sort();
    assert!(files.len() > 2, "{files:?}");
    files
}

#[test]
fn every_values_file_makes_what_kubernetes_takes() {
    let Some(helm) = program::find("helm") else {
        return;
    };
    let mut all = Vec::new();
    for file in values() {
        let mut lint = Command::new(&helm);
        program::succeed(
            lint.args(["lint", "--strict"])
                .arg(chart())
                .args(["--values", &file]),
            "",
        );
        let rendered = template(&file, &["--values", &file]).expect("there is a helm");
        for (name, pod) in rendered.pods() {
            let wrong = violations(pod);
            assert!(wrong.is_empty(), "{file}: {name}: {}", wrong.join(", "));
        }
        // What trommel cannot start with is an error here.
        rendered.settings();
        all.push(rendered);
    }
    check_schemas(&all);
}

/// The values that `docs/deploy.md` shows, with a digest in place of `…`.
#[test]
fn the_values_of_the_page_are_values_of_the_chart() {
    let page = read("docs/deploy.md");
    let [values] = &found(r"(?s)```yaml other\n(# my-values.yaml\n.*?)```", &page)[..] else {
        panic!("the page shows values once");
    };
    let digest = "0".repeat(64);
    let scratch = Scratch::new();
    let file = scratch.write("my-values.yaml", values.replace('…', &digest));
    let file = file.to_str().expect("a plain name");
    let Some(rendered) = template("the page's", &["--values", file]) else {
        return;
    };
    let (deployment, container) = rendered.trommel();
    assert_eq!(deployment["metadata"]["name"], "trommel", "it is central");
    let image = format!("registry.example/trommel@sha256:{digest}");
    assert_eq!(container["image"], image.as_str());
    assert_eq!(rendered.settings().origin.cluster, "production");
    for (kind, name) in [
        ("PersistentVolumeClaim", "trommel-data"),
        ("ServiceMonitor", "trommel"),
        ("PrometheusRule", "trommel"),
        ("ConfigMap", "trommel-dashboard"),
    ] {
        rendered.must_get(kind, name);
    }
    let rules = scratch.write(
        "rules.yaml",
        rendered.file("trommel-rules", "thresholds.yaml"),
    );
    program::succeed(
        command().args(["check", "--deny", "warnings"]).arg(rules),
        "",
    );
}

#[test]
fn releases_of_one_name_in_two_namespaces_share_nothing_of_the_cluster() {
    let arguments = ["--set", "serviceMonitor.enabled=true"];
    let elsewhere = ["--namespace", "elsewhere"];
    let (Some(here), Some(there)) = (
        template("monitoring", &arguments),
        template("elsewhere", &[arguments, elsewhere].concat()),
    ) else {
        return;
    };
    apart(&here, &there);
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let Some(helm) = program::find("helm") else {
        return;
    };
    for (value, told) in [
        ("shape=daemonset", "shape"),
        ("config.nats.urls=nats://elsewhere:4222", "urls"),
        ("config.limits.body_bytes_max=much", "body_bytes_max"),
        ("image.digest=latest", "digest"),
        (
            "terminationGracePeriodSeconds=5",
            "terminationGracePeriodSeconds",
        ),
        ("persistance.enabled=true", "persistance"),
    ] {
        let mut template = Command::new(&helm);
        let output = program::run(
            template
                .args(["template", "trommel"])
                .arg(chart())
                .args(["--set", value]),
            "",
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(told),
            "{value}: {said}"
        );
    }
}

#[test]
fn the_schema_of_config_is_that_of_the_settings() {
    let path = chart().join("values.schema.json");
    let written = std::fs::read_to_string(&path).expect("the chart has a schema");
    let mut schema: Value = serde_json::from_str(&written).expect("JSON");
    let mut settings = trommel::config::schema();
    let keys = settings.as_object_mut().expect("a schema");
    for own in ["$schema", "$id", "title"] {
        keys.remove(own);
    }
    if schema["properties"]["config"] == settings {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_EXPECT").is_some(),
        "UPDATE_EXPECT=1 brings {} up to date",
        path.display()
    );
    schema["properties"]["config"] = settings;
    let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    std::fs::write(path, text).expect("it can be written");
}

#[test]
fn chart_and_kustomize_make_the_same() {
    let scratch = Scratch::new();
    for (overlay, values) in [
        ("demo", DEMO),
        ("staging", STAGING),
        ("production", PRODUCTION),
    ] {
        let Some(kustomize) = Rendered::kustomize(&format!("deploy/kustomize/overlays/{overlay}"))
        else {
            return;
        };
        // The same settings and rules; how they are put into the ConfigMaps is what is compared.
        let mut written: Map<String, Value> = serde_saphyr::from_str(values).expect("values");
        let settings = kustomize.file("trommel-config", "trommel.yaml");
        written.insert(
            "config".to_owned(),
            serde_saphyr::from_str(settings).expect("settings"),
        );
        for kind in ["rules", "policy"] {
            if let Some(map) = kustomize.get("ConfigMap", &format!("trommel-{kind}")) {
                written.insert(kind.to_owned(), map["data"].clone());
            }
        }
        let file = scratch.write("values.yaml", Value::from(written).to_string());
        let helm = template(overlay, &["--values", file.to_str().expect("a plain name")]);
        let Some(helm) = helm else {
            return;
        };
        let (kustomize, helm) = (comparable(&kustomize), comparable(&helm));
        let [ours, theirs] = [&kustomize, &helm].map(|objects| objects.keys().collect::<Vec<_>>());
        assert_eq!(ours, theirs, "{overlay}");
        for (name, object) in &kustomize {
            let [ours, theirs] = [object, &helm[name]]
                .map(|object| serde_json::to_string_pretty(object).expect("JSON"));
            let only = |text: &str, other: &str| -> Vec<String> {
                let other: Vec<_> = other.lines().collect();
                let lines = text.lines().filter(|line| !other.contains(line));
                lines.map(str::to_owned).collect()
            };
            assert!(
                ours == theirs,
                "{overlay}: {name}: only from Kustomize: {:#?}, only from Helm: {:#?}",
                only(&ours, &theirs),
                only(&theirs, &ours)
            );
        }
    }
}

const DEMO: &str = "shape: sidecar";
const STAGING: &str = "
shape: sidecar
image: {registry: registry.example}
serviceMonitor: {enabled: true}
prometheusRule: {enabled: true}
dashboard: {enabled: true}
";
const PRODUCTION: &str = "
shape: central
image: {registry: registry.example}
tls: {enabled: true}
persistence: {enabled: true}
serviceMonitor: {enabled: true}
prometheusRule: {enabled: true}
dashboard: {enabled: true}
";

/// The objects of trommel and its Alloy by kind and name, without what only one of the two tools writes.
fn comparable(rendered: &Rendered) -> BTreeMap<String, Value> {
    let mut objects = BTreeMap::new();
    for object in &rendered.objects {
        let name = text(&object["metadata"]["name"]);
        // The pod of `helm test`; Loki and NATS have charts of their own.
        if object["kind"] == "Pod" || ["loki", "nats"].iter().any(|other| name.starts_with(other)) {
            continue;
        }
        let mut object = object.clone();
        normalise(&mut object);
        let name = text(&object["metadata"]["name"]);
        objects.insert(format!("{} {name}", text(&object["kind"])), object);
    }
    objects
}

fn normalise(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for key in [
                "helm.sh/chart",
                "app.kubernetes.io/managed-by",
                "app.kubernetes.io/version",
                "app.kubernetes.io/instance",
                "checksum/alloy",
            ] {
                fields.remove(key);
            }
            // A rule for the pod of `helm test`.
            if let Some(Value::Array(ingress)) = fields.get_mut("ingress") {
                ingress.retain(|rule| !rule.to_string().contains("trommel-test"));
            }
            for (key, field) in fields.iter_mut() {
                normalise(field);
                // Settings are compared as settings, other files as lines.
                if let (true, Value::String(text)) = (
                    key.ends_with(".yaml") || key.ends_with(".alloy") || key.ends_with(".json"),
                    &*field,
                ) {
                    let parsed = serde_saphyr::from_str::<Value>(text)
                        .ok()
                        .filter(|_| key == "trommel.yaml");
                    *field = parsed.unwrap_or_else(|| Value::from(text.trim_end()));
                }
            }
            // Empty maps, and labels of ConfigMaps that only Helm writes.
            fields.retain(|key, field| {
                !(key == "annotations" && field.as_object().is_some_and(Map::is_empty))
            });
        }
        Value::Array(items) => {
            items.iter_mut().for_each(normalise);
            // Containers, volumes, ports and the like have names, and no order.
            if items.iter().all(|item| item.get("name").is_some()) {
                items.sort_by_key(|item| item["name"].to_string());
            }
        }
        // Kustomize's hash.
        Value::String(text) if text.starts_with("alloy-config-") => {
            *text = "alloy-config".to_owned()
        }
        _ => {}
    }
}

#[test]
fn the_notes_name_every_secret_that_the_pod_wants() {
    for file in values() {
        let Some(rendered) = template(&file, &["--values", &file]) else {
            return;
        };
        let notes =
            std::fs::read_to_string(chart().join("templates/NOTES.txt")).expect("there are notes");
        let (deployment, _) = rendered.trommel();
        for volume in items(&deployment["spec"]["template"]["spec"]["volumes"]) {
            if let Some(kind) = volume["secret"]["secretName"]
                .as_str()
                .and_then(|name| name.strip_prefix("trommel-"))
            {
                assert!(
                    notes.contains(&format!(".Values.secrets.{kind}")),
                    "{file}: {kind}"
                );
            }
        }
    }
}

//! The overlays as they are, and every combination of components that `docs/deploy.md` promises.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::rendered::{Rendered, check_schemas, items, root, text, variables};
use super::restricted::violations;
use crate::support::page::{found, read};
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::trommel::command;

const OVERLAYS: [&str; 5] = [
    "deploy/kustomize/overlays/demo",
    "deploy/kustomize/overlays/staging",
    "deploy/kustomize/overlays/production",
    "deploy/nats/overlays/small",
    "deploy/nats/overlays/production",
];

/// What may be added to a shape; `tls` last, as it says itself.
const ADDITIONS: [&str; 3] = ["persistent", "prometheus-operator", "tls"];

/// Every overlay.
fn overlays() -> Vec<Rendered> {
    OVERLAYS
        .into_iter()
        .filter_map(Rendered::kustomize)
        .collect()
}

/// Both shapes, each with every choice of additions.
fn combinations() -> Vec<Rendered> {
    let mut all = Vec::new();
    for (shape, alloy) in [("sidecar", "alloy"), ("central", "")] {
        for choice in 0..1 << ADDITIONS.len() {
            let chosen = (0..ADDITIONS.len())
                .filter(|bit| choice & (1 << bit) != 0)
                .map(|bit| ADDITIONS[bit]);
            let components: Vec<_> = [shape].into_iter().chain(chosen).collect();
            let scratch = Scratch::new();
            let kustomize = from(&scratch.path("")) + "/deploy/kustomize";
            let mut written = "kind: Kustomization\nnamespace: monitoring\nresources:\n".to_owned();
            for resource in ["base", alloy].iter().filter(|name| !name.is_empty()) {
                written += &format!("  - {kustomize}/{resource}\n");
            }
            written += "components:\n";
            for component in &components {
                written += &format!("  - {kustomize}/components/{component}\n");
            }
            scratch.write("kustomization.yaml", written);
            all.extend(Rendered::kustomize_at(
                &components.join("+"),
                &scratch.path(""),
            ));
        }
    }
    all
}

/// The repository as kustomize takes it: seen from `folder`.
fn from(folder: &Path) -> String {
    let folder = folder.canonicalize().expect("it is there");
    let root = root().canonicalize().expect("it is there");
    let up = folder.components().skip(1).map(|_| "..");
    let down = root
        .components()
        .skip(1)
        .map(|part| part.as_os_str().to_str().expect("a plain name"));
    up.chain(down).collect::<Vec<_>>().join("/")
}

fn with_trommel() -> Vec<Rendered> {
    let mut all = overlays();
    all.retain(|rendered| rendered.name.contains("kustomize"));
    all.extend(combinations());
    all
}

#[test]
fn every_overlay_and_combination_is_what_kubernetes_takes() {
    let mut all = overlays();
    all.extend(combinations());
    check_schemas(&all);
}

#[test]
fn every_pod_is_restricted() {
    let mut pods = 0;
    for rendered in overlays().into_iter().chain(combinations()) {
        for (name, template) in rendered.pods() {
            pods += 1;
            let wrong = violations(template);
            assert!(
                wrong.is_empty(),
                "{}: {name}: {}",
                rendered.name,
                wrong.join(", ")
            );
            for container in items(&template["spec"]["containers"]) {
                let limits = &container["resources"]["limits"];
                assert!(
                    limits["memory"].is_string(),
                    "{}: {name} has no limit of memory",
                    rendered.name
                );
            }
        }
    }
    assert!(pods > 20 || program::find("kubectl").is_none(), "{pods}");
}

#[test]
fn trommel_has_no_rights_in_the_cluster() {
    for rendered in with_trommel() {
        let (deployment, container) = rendered.trommel();
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(
            pod["automountServiceAccountToken"], false,
            "{}",
            rendered.name
        );
        let mounted: BTreeSet<_> = items(&container["volumeMounts"])
            .map(|mount| text(&mount["name"]))
            .collect();
        for volume in items(&pod["volumes"]) {
            let has_token = items(&volume["projected"]["sources"])
                .any(|source| source.get("serviceAccountToken").is_some());
            assert!(
                !has_token || !mounted.contains(text(&volume["name"])),
                "{}: it gets a token",
                rendered.name
            );
        }
        for kind in ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
            for object in rendered.all(kind) {
                assert_eq!(
                    object["metadata"]["name"], "monitoring.alloy-logs",
                    "{}: {kind}",
                    rendered.name
                );
            }
        }
    }
}

/// Alloy's rights are those that `alloy/README.md` asks for, and no more.
#[test]
fn alloy_has_the_rights_that_its_page_says() {
    let Some(demo) = Rendered::kustomize("deploy/kustomize/overlays/demo") else {
        return;
    };
    let page = read("alloy/README.md");
    let [told] = &found(r"(?s)```yaml other\n(rules:.*?)```", &page)[..] else {
        panic!("the page has one list of rights");
    };
    let told: Value = serde_saphyr::from_str(told).expect("YAML");
    assert_eq!(
        rights(&told),
        rights(demo.must_get("ClusterRole", "monitoring.alloy-logs"))
    );
}

/// What a role lets do, one by one.
fn rights(role: &Value) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    for rule in items(&role["rules"]) {
        for (resource, verb) in items(&rule["resources"])
            .flat_map(|resource| items(&rule["verbs"]).map(move |verb| (resource, verb)))
        {
            rights.insert(format!(
                "{} {} of {}",
                text(verb),
                text(resource),
                rule["apiGroups"]
            ));
        }
    }
    rights
}

#[test]
fn overlays_in_two_namespaces_share_nothing_of_the_cluster() {
    for overlay in ["demo", "staging"] {
        let folder = format!("deploy/kustomize/overlays/{overlay}");
        let Some(here) = Rendered::kustomize(&folder) else {
            return;
        };
        // As its page says: a copy, with another `namespace`.
        let (scratch, written) = copy_of(overlay);
        let changed = written.replace("namespace: monitoring", "namespace: elsewhere");
        scratch.write("kustomization.yaml", changed);
        let there = Rendered::kustomize_at(overlay, &scratch.path("")).expect("there is a kubectl");
        apart(&here, &there);
        // What it names as that which is to be changed as well is all that leads back.
        let mut places: Vec<_> = there
            .objects
            .iter()
            .filter(|object| object.to_string().contains(".monitoring.svc"))
            .map(|object| text(&object["metadata"]["name"]))
            .collect();
        places.sort_unstable();
        let expected = match overlay {
            "demo" => vec!["alloy", "loki-datasource", "trommel-config"],
            _ => vec!["alloy", "trommel-config"],
        };
        assert_eq!(places, expected, "{overlay}");
        let (deployment, _) = there.trommel();
        assert_eq!(
            deployment.to_string().matches(".monitoring.svc").count(),
            1,
            "LOKI_URL"
        );
    }
}

/// As its page says: a Deployment of one's own, called `alloy`, in place of `deploy/kustomize/alloy`.
#[test]
fn an_alloy_of_ones_own_takes_the_place_of_the_one_that_comes_along() {
    const OWN: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: alloy}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: alloy}}
  template:
    metadata: {labels: {app.kubernetes.io/name: alloy}}
    spec:
      serviceAccountName: ours
      containers: [{name: alloy, image: "registry.example/alloy:1"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ours}
"#;
    for overlay in ["demo", "staging"] {
        let (scratch, written) = copy_of(overlay);
        scratch.write("own.yaml", OWN);
        let lines = written
            .lines()
            .filter(|line| !line.ends_with("/alloy/monitor"));
        let changed: String = lines
            .map(|line| match line.ends_with("/kustomize/alloy") {
                true => "  - own.yaml\n".to_owned(),
                false => format!("{line}\n"),
            })
            .collect();
        scratch.write("kustomization.yaml", changed);
        let Some(rendered) = Rendered::kustomize_at(overlay, &scratch.path("")) else {
            return;
        };
        let (deployment, _) = rendered.trommel();
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], "ours", "{overlay}");
        let names: Vec<_> = items(&pod["containers"])
            .map(|one| text(&one["name"]))
            .collect();
        assert_eq!(names, ["alloy", "trommel"], "{overlay}");
        let wrong = misfits(&rendered);
        assert!(wrong.is_empty(), "{overlay}: {}", wrong.join("\n"));
        rendered.must_get("ClusterRole", "ours");
    }
}

/// A copy of an overlay in another folder, which has not been written yet: its kustomization, seen from there.
fn copy_of(overlay: &str) -> (Scratch, String) {
    let folder = format!("deploy/kustomize/overlays/{overlay}");
    let scratch = Scratch::new();
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(root().join(&folder).join("."));
    program::succeed(copy.arg(scratch.path("")), "");
    let deploy = from(&scratch.path("")) + "/deploy";
    let written = std::fs::read_to_string(scratch.path("kustomization.yaml"));
    let seen_from_there = |line: &str| match line.trim_start().strip_prefix("- ../../") {
        Some(rest) => match rest.strip_prefix("../") {
            Some(rest) => format!("  - {deploy}/{rest}\n"),
            None => format!("  - {deploy}/kustomize/{rest}\n"),
        },
        None => format!("{line}\n"),
    };
    let written = written.expect("it was copied");
    let changed = written.lines().map(seen_from_there).collect();
    (scratch, changed)
}

/// Holds two installations in namespaces `monitoring` and `elsewhere` against each other.
#[track_caller]
pub(super) fn apart(here: &Rendered, there: &Rendered) {
    let of_cluster = |rendered: &Rendered| -> BTreeSet<String> {
        let objects = rendered.objects.iter();
        objects
            .filter(|object| object["metadata"]["namespace"].is_null())
            .map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]))
            .collect()
    };
    let (ours, theirs) = (of_cluster(here), of_cluster(there));
    assert_eq!((ours.len(), theirs.len()), (2, 2), "{ours:?} {theirs:?}");
    assert!(ours.is_disjoint(&theirs), "{}: {ours:?}", here.name);
    for (rendered, namespace) in [(here, "monitoring"), (there, "elsewhere")] {
        let binding = rendered
            .all("ClusterRoleBinding")
            .next()
            .expect("Alloy has rights");
        assert_eq!(binding["subjects"][0]["namespace"], namespace);
        let role = &binding["roleRef"]["name"];
        assert!(
            rendered.get("ClusterRole", text(role)).is_some(),
            "there is no {role}"
        );
        let objects = rendered.objects.iter();
        for object in objects.filter(|object| !object["metadata"]["namespace"].is_null()) {
            assert_eq!(
                object["metadata"]["namespace"], namespace,
                "{}",
                object["kind"]
            );
        }
    }
}

#[test]
fn names_of_files_maps_ports_and_labels_fit_together() {
    for rendered in overlays().into_iter().chain(combinations()) {
        let mut wrong = dangling(&rendered);
        if rendered.get("ConfigMap", "trommel-config").is_some() {
            wrong.extend(misfits(&rendered));
        }
        assert!(wrong.is_empty(), "{}: {}", rendered.name, wrong.join("\n"));
    }
}

/// Maps, claims and ports that something names and nothing is.
fn dangling(rendered: &Rendered) -> Vec<String> {
    let mut wrong = Vec::new();
    // Kubernetes itself keeps the last one.
    let is_there =
        |kind: &str, name: &str| name == "kube-root-ca.crt" || rendered.get(kind, name).is_some();
    for (pod, template) in rendered.pods() {
        let spec = &template["spec"];
        let volumes: BTreeSet<_> = items(&spec["volumes"])
            .map(|volume| text(&volume["name"]))
            .collect();
        let templates = rendered
            .all("StatefulSet")
            .flat_map(|set| items(&set["spec"]["volumeClaimTemplates"]));
        let claimed: BTreeSet<_> = templates
            .map(|claim| text(&claim["metadata"]["name"]))
            .collect();
        for container in items(&spec["containers"]) {
            for mount in items(&container["volumeMounts"]) {
                let name = text(&mount["name"]);
                if !volumes.contains(name) && !claimed.contains(name) {
                    wrong.push(format!("{pod} mounts {name}, which is no volume"));
                }
            }
        }
        for volume in items(&spec["volumes"]) {
            let sources = items(&volume["projected"]["sources"]).chain([volume]);
            for map in sources.filter_map(|source| source.get("configMap")) {
                let name = text(&map["name"]);
                if map["optional"] != true && !is_there("ConfigMap", name) {
                    wrong.push(format!("{pod} wants ConfigMap {name}"));
                }
            }
            if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str()
                && !is_there("PersistentVolumeClaim", claim)
            {
                wrong.push(format!("{pod} wants claim {claim}"));
            }
        }
    }
    for claim in rendered.all("PersistentVolumeClaim") {
        let name = &claim["metadata"]["name"];
        let is_used = |pod: &Value| {
            items(&pod["spec"]["volumes"])
                .any(|volume| volume["persistentVolumeClaim"]["claimName"] == *name)
        };
        if !rendered.pods().any(|(_, pod)| is_used(pod)) {
            wrong.push(format!("nothing is kept in claim {name}"));
        }
    }
    for service in rendered.all("Service") {
        let selected: Vec<_> = rendered
            .pods()
            .filter(|(_, pod)| selects(&service["spec"]["selector"], pod))
            .collect();
        let [(_, pod)] = &selected[..] else {
            wrong.push(format!(
                "Service {} selects {} pods",
                service["metadata"]["name"],
                selected.len()
            ));
            continue;
        };
        let ports: BTreeSet<_> = items(&pod["spec"]["containers"])
            .flat_map(|container| items(&container["ports"]))
            .map(|port| (text(&port["name"]), port["containerPort"].as_u64()))
            .collect();
        for port in items(&service["spec"]["ports"]) {
            if !ports.contains(&(text(&port["targetPort"]), port["port"].as_u64())) {
                wrong.push(format!(
                    "Service {} leads to {}, which is no port",
                    service["metadata"]["name"], port["targetPort"]
                ));
            }
        }
    }
    for kind in ["NetworkPolicy", "PodDisruptionBudget"] {
        for object in rendered.all(kind) {
            let spec = &object["spec"];
            let selector = spec.get("podSelector").unwrap_or(&spec["selector"]);
            if !rendered
                .pods()
                .any(|(_, pod)| selects(&selector["matchLabels"], pod))
            {
                wrong.push(format!(
                    "{kind} {} selects no pod",
                    object["metadata"]["name"]
                ));
            }
        }
    }
    wrong
}

/// Whether a pod has all labels of a selector, which has one at least.
fn selects(selector: &Value, pod: &Value) -> bool {
    let labels = selector.as_object().expect("a selector");
    !labels.is_empty()
        && labels
            .iter()
            .all(|(name, value)| pod["metadata"]["labels"][name] == *value)
}

/// What trommel's settings, its container, its policy and its Service say otherwise than each other.
fn misfits(rendered: &Rendered) -> Vec<String> {
    let mut wrong = Vec::new();
    let (deployment, container) = rendered.trommel();
    let pod = &deployment["spec"]["template"];
    let settings = rendered.settings();
    let is_sidecar = deployment["metadata"]["name"] == "alloy";

    let mut must = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    must(
        settings.listen.ip().is_loopback() == is_sidecar,
        format!("it listens on {}", settings.listen),
    );
    must(
        settings.admin_listen.ip().is_unspecified(),
        format!("the kubelet cannot reach {}", settings.admin_listen),
    );
    must(
        settings.admin.ask_anything(),
        "whoever reaches the admin port sees findings".to_owned(),
    );
    must(settings.nats.is_some(), "findings go nowhere".to_owned());
    must(
        settings.rules == [Path::new("/etc/trommel/rules")],
        format!("rules are read from {:?}", settings.rules),
    );

    let is_tls = settings.admin.tls.is_some();
    let must_push_tls = is_tls && !is_sidecar;
    must(
        settings.push.tls.is_some() == must_push_tls,
        "TLS at one port only".to_owned(),
    );
    must(
        settings.push.ask_anything() == must_push_tls,
        "TLS without credentials, or the other way round".to_owned(),
    );
    let scheme = if is_tls { "HTTPS" } else { "HTTP" };
    for (probe, path) in [
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ] {
        let get = &container[probe]["httpGet"];
        let as_served = get["scheme"] == scheme && get["path"] == path && get["port"] == "admin";
        must(as_served, format!("{probe} asks {get}"));
    }
    if let Some(monitor) = rendered.get("ServiceMonitor", "trommel") {
        let endpoint = &monitor["spec"]["endpoints"][0];
        let expected = if is_tls {
            Value::from("https")
        } else {
            Value::Null
        };
        must(
            endpoint["scheme"] == expected,
            format!("Prometheus asks by {}", endpoint["scheme"]),
        );
    }

    let ports: BTreeSet<_> = items(&container["ports"])
        .map(|port| (text(&port["name"]), port["containerPort"].as_u64()))
        .collect();
    let mut expected = BTreeSet::from([("admin", Some(u64::from(settings.admin_listen.port())))]);
    if !is_sidecar {
        expected.insert(("push", Some(u64::from(settings.listen.port()))));
    }
    must(ports == expected, format!("ports are {ports:?}"));
    let policy = rendered.must_get("NetworkPolicy", "trommel");
    for (_, port) in ports {
        let is_open = items(&policy["spec"]["ingress"])
            .flat_map(|rule| items(&rule["ports"]))
            .any(|open| open["port"].as_u64() == port);
        must(is_open, format!("the policy closes {port:?}"));
    }
    must(
        deployment["spec"]["strategy"]["type"] == "Recreate",
        "two trommels at once on one directory".to_owned(),
    );
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64();
    let needed = settings.shutdown_delay.as_secs() + 13;
    must(
        grace.is_some_and(|grace| grace > needed),
        format!("{grace:?}s to stop, which takes {needed}s"),
    );

    let mounts: Vec<_> = items(&container["volumeMounts"]).collect();
    let file: Value = serde_saphyr::from_str(rendered.file("trommel-config", "trommel.yaml"))
        .expect("it was read before");
    // Three quarters, as the settings say themselves.
    let mebibytes = |written: &Value| {
        text(written)
            .trim_end_matches(['M', 'i', 'B'])
            .parse::<u64>()
    };
    let (memory, limit) = (&file["memory"], &container["resources"]["limits"]["memory"]);
    must(
        mebibytes(memory)
            .ok()
            .zip(mebibytes(limit).ok())
            .is_some_and(|(some, all)| some * 4 == all * 3),
        format!("{memory} of {limit}"),
    );
    let mut paths = Vec::new();
    collect_paths(&file, &mut paths);
    paths.extend(
        variables(container)
            .into_values()
            .filter(|value| value.starts_with('/')),
    );
    paths.extend(
        items(&container["args"])
            .map(|arg| text(arg).to_owned())
            .filter(|arg| arg.starts_with('/')),
    );
    for path in paths {
        let mount = mounts
            .iter()
            .find(|mount| Path::new(&path).starts_with(text(&mount["mountPath"])));
        let is_data = settings.data.as_deref() == Some(Path::new(&path));
        let fits = mount.is_some_and(|mount| (mount["readOnly"] == true) != is_data);
        must(fits, format!("{path} is not mounted as it should be"));
    }
    wrong
}

/// Every path that a settings file names.
fn collect_paths(value: &Value, paths: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with('/') => paths.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect_paths(item, paths)),
        Value::Object(fields) => fields
            .values()
            .for_each(|field| collect_paths(field, paths)),
        _ => {}
    }
}

#[test]
fn the_rules_of_every_overlay_are_valid_together() {
    let mut checked = 0;
    for rendered in overlays() {
        let scratch = Scratch::new();
        let maps = ["trommel-rules", "trommel-policy"];
        let files = maps
            .iter()
            .filter_map(|name| rendered.get("ConfigMap", name)?["data"].as_object());
        let files: Vec<_> = files
            .flatten()
            .map(|(name, content)| scratch.write(name, text(content)))
            .collect();
        if files.is_empty() {
            continue;
        }
        checked += 1;
        program::succeed(
            command().args(["check", "--deny", "warnings"]).args(&files),
            "",
        );
    }
    assert!(
        checked == 3 || program::find("kubectl").is_none(),
        "{checked}"
    );
}

#[test]
fn the_environments_differ_in_what_they_should() {
    let all: Vec<_> = overlays()
        .into_iter()
        .filter(|rendered| rendered.name.contains("kustomize"))
        .collect();
    if all.is_empty() {
        return;
    }
    let told: Vec<_> = all
        .iter()
        .map(|rendered| {
            let settings = rendered.settings();
            let (deployment, container) = rendered.trommel();
            let is_there = |kind: &str, name: &str| if rendered.get(kind, name).is_some() { "yes" } else { "no" };
            format!(
                "{}: in {}, cluster {}, image {}, keeps its data: {}, TLS: {}, a policy of its own: {}, Loki: {}, quotes nothing of {:?}\n",
                rendered.name.rsplit('/').next().unwrap_or_default(),
                text(&deployment["metadata"]["name"]),
                settings.origin.cluster,
                text(&container["image"]),
                is_there("PersistentVolumeClaim", "trommel-data"),
                if settings.admin.tls.is_some() { "yes" } else { "no" },
                is_there("ConfigMap", "trommel-policy"),
                rendered.get("StatefulSet", "loki").map_or("none".to_owned(), |loki| {
                    let arguments = &loki["spec"]["template"]["spec"]["containers"][0]["args"];
                    items(arguments).map(text).filter(|arg| arg.contains("retention")).collect()
                }),
                settings.sensitive_namespaces,
            )
        })
        .collect();
    expect_test::expect![[r#"
        demo: in alloy, cluster demo, image trommel:0.1.0, keeps its data: no, TLS: no, a policy of its own: no, Loki: -store.retention=72h, quotes nothing of []
        staging: in alloy, cluster staging, image registry.example/trommel:0.1.0, keeps its data: no, TLS: no, a policy of its own: no, Loki: none, quotes nothing of []
        production: in trommel, cluster production, image registry.example/trommel:0.1.0, keeps its data: yes, TLS: yes, a policy of its own: yes, Loki: none, quotes nothing of ["payments", "vault"]
    "#]].assert_eq(&told.concat());
}

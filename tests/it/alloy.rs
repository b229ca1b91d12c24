//! The configurations for Alloy in `alloy/`: that they are what Alloy takes, that trommel cannot hold back Loki in any of them, and
//! that a sender with their settings loses what `alloy/README.md` says, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use regex_automata::meta::Regex;
use trommel::config::settings;

use crate::support::alloy_file::{AlloyFile, Block, Value};
use crate::support::incident::{Incident, RULES};
use crate::support::loki_write::{Bounds, LokiWrite, Target};
use crate::support::page::found;
use crate::support::proxy::Proxy;
use crate::support::trommel::Setup;
use crate::support::wait;

/// Files that Alloy loads together.
const TOGETHER: &[&[&str]] = &[
    &["deploy/compose/config.alloy"],
    &["alloy/api-mode.alloy"],
    &["alloy/daemonset-mode.alloy"],
    &[
        "alloy/daemonset-mode.alloy",
        "alloy/daemonset-journal.alloy",
    ],
    &["alloy/events.alloy"],
    &["alloy/second-endpoint.alloy"],
];

/// The pipeline that `second-endpoint.alloy` is added to, as its comment shows it.
const YOURS: &str = r#"
discovery.kubernetes "pods" {
  role = "pod"
}

loki.source.kubernetes "pods" {
  targets    = discovery.kubernetes.pods.targets
  forward_to = [loki.write.loki.receiver, loki.process.trommel.receiver]
}

loki.write "loki" {
  endpoint {
    url = "http://loki:3100/loki/api/v1/push"
  }
}
"#;

/// Labels that have few values, in Loki's branch.
const LABELS: &[&str] = &[
    "job",
    "cluster",
    "environment",
    "namespace",
    "app",
    "component",
    "container",
    "node_name",
    "unit",
];

#[test]
fn every_file_is_what_alloys_reference_allows() {
    let listed: BTreeSet<_> = TOGETHER
        .iter()
        .flat_map(|paths| paths.iter())
        .map(|path| (*path).to_owned())
        .filter(|path| path.starts_with("alloy/"))
        .collect();
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("alloy"))
        .expect("it is there");
    let names = folder.map(|entry| {
        entry
            .expect("readable")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let there: BTreeSet<_> = names
        .filter(|name| name.ends_with(".alloy"))
        .map(|name| format!("alloy/{name}"))
        .collect();
    assert_eq!(listed, there);
    for paths in TOGETHER {
        load(paths);
    }
}

#[test]
fn the_blocks_on_the_pages_are_what_alloys_reference_allows() {
    for page in ["README.md", "docs/access.md"] {
        let text = read(page);
        let blocks: Vec<_> = text
            .split("```alloy\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .collect();
        assert!(!blocks.is_empty(), "{page} has none");
        for block in blocks {
            AlloyFile::read(&[(page, block)]).unwrap_or_else(|error| panic!("{error}\n{block}"));
        }
    }
}

#[test]
fn mistakes_in_a_file_are_found() {
    let good = read("alloy/second-endpoint.alloy");
    for (from, to, told) in [
        (
            "remote_timeout =",
            "remote_time_out =",
            "no argument `remote_time_out`",
        ),
        (
            "remote_timeout = \"2s\"",
            "remote_timeout = 2",
            "remote_timeout is of another kind",
        ),
        (
            "max_backoff_retries = 5",
            "max_backoff_retries = \"5\"",
            "max_backoff_retries is of another kind",
        ),
        ("= \"1h\"", "= \"an hour\"", "older_than is of another kind"),
        (
            "loki.write \"trommel\"",
            "loki.write",
            "components have a label",
        ),
        ("wal {", "wal \"trommel\" {", "components have a label"),
        (
            "[loki.write.trommel.receiver]",
            "[loki.write.tromel.receiver]",
            "`loki.write.tromel.receiver` leads nowhere",
        ),
        (
            "[loki.write.trommel.receiver]",
            "[loki.write.trommel.targets]",
            "`loki.write.trommel.targets` leads nowhere",
        ),
        ("  wal {", "  val {", "no block `loki.write/val`"),
        ("    url =", "    // url =", "no url"),
        ("= \"10m\"\n  }\n}", "= \"10m\"\n  }\n", "alloy:"),
        ("= \"10m\"", "= \"10m", "a text does not end"),
        (
            "http_429 = false",
            "http_429 = false, true",
            "something follows the value of retry_on_http_429",
        ),
        (
            "loki.process \"trommel\"",
            "loki.write \"trommel\"",
            "no argument `forward_to`",
        ),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(good, bad, "{from} is there");
        match AlloyFile::read(&[("alloy", &bad)]) {
            Ok(_) => panic!("{to} is taken"),
            Err(error) => assert!(error.contains(told), "{to}: {error}"),
        }
    }
    let twice = good.clone() + good.as_str();
    let error = AlloyFile::read(&[("alloy", &twice)]).expect_err("names are of one thing");
    assert!(error.contains("is there twice"), "{error}");
}

#[test]
fn in_no_file_can_trommel_hold_back_loki() {
    for paths in TOGETHER {
        let file = load(paths);
        let ways = file.ways();
        let to = |name: &str| {
            let ends = ways
                .iter()
                .filter(|way| last(way).id() == format!("loki.write.{name}"));
            ends.cloned().collect::<Vec<_>>()
        };
        let (loki, trommel) = (to("loki"), to("trommel"));
        assert!(!loki.is_empty() && !trommel.is_empty(), "{paths:?}");
        assert_eq!(
            loki.len() + trommel.len(),
            ways.len(),
            "{paths:?}: each way has one end"
        );

        let component = last(&trommel[0]);
        component.one("endpoint");
        // All that Loki's entries go through, of which trommel's way must have nothing, or a log in between.
        let lokis: BTreeSet<_> = loki.iter().flatten().map(|block| block.id()).collect();
        let shared = trommel
            .iter()
            .flatten()
            .any(|block| lokis.contains(&block.id()));
        let has_log = component
            .all("wal")
            .any(|wal| wal.get("enabled") == Some(&Value::Bool(true)));
        assert!(
            has_log || !shared,
            "{paths:?}: trommel's way is Loki's, without a log in between"
        );
        assert!(
            last(&loki[0]).all("wal").next().is_none(),
            "{paths:?}: two logs share a marker file"
        );

        let settings = file.settings();
        assert!(
            settings.remote_timeout <= Duration::from_secs(2),
            "{paths:?}"
        );
        assert!(
            settings.max_backoff_period <= Duration::from_secs(2),
            "{paths:?}"
        );
        assert!(
            (1..=120).contains(&settings.max_backoff_retries),
            "{paths:?}: 0 is for ever"
        );
        assert!(!settings.retry_on_http_429, "{paths:?}");
    }
}

#[test]
fn nothing_old_and_nothing_of_trommels_own_goes_to_trommel() {
    let max_age = settings()
        .into_iter()
        .find(|setting| setting.key == "detect.max_age")
        .expect("a setting")
        .default;
    for paths in TOGETHER {
        let file = load(paths);
        for way in file
            .ways()
            .iter()
            .filter(|way| last(way).id() == "loki.write.trommel")
        {
            let stages: Vec<_> = way.iter().flat_map(|block| file.stages(block)).collect();
            let told = way
                .iter()
                .map(|block| block.id())
                .collect::<Vec<_>>()
                .join(" > ");
            let drops_old = stages.iter().any(|stage| {
                stage.name == "stage.drop" && stage.text("older_than") == max_age.as_deref()
            });
            assert!(drops_old, "{told}");
            // Events have no container.
            let drops_own = stages.iter().any(|stage| {
                stage.text("selector") == Some(r#"{container="trommel"}"#)
                    && stage.text("action") == Some("drop")
            });
            assert!(drops_own || *paths == ["alloy/events.alloy"], "{told}");
        }
    }
}

#[test]
fn loki_gets_labels_of_few_values_and_trommel_the_pod_as_well() {
    for paths in TOGETHER {
        if *paths == ["alloy/second-endpoint.alloy"] || *paths == ["deploy/compose/config.alloy"] {
            // There labels are as they were, and of one stream.
            continue;
        }
        let file = load(paths);
        for way in file.ways() {
            let keep = way
                .iter()
                .flat_map(|block| file.stages(block))
                .filter(|stage| stage.name == "stage.label_keep");
            let keep = keep.collect::<Vec<_>>().pop().expect("each way has one");
            let labels = keep.get("values").expect("required").texts();
            let of_many = labels
                .iter()
                .filter(|label| !LABELS.contains(label))
                .collect::<Vec<_>>();
            let has_pods = way[0].id().contains("pods");
            match last(&way).id().as_str() {
                "loki.write.loki" => assert!(of_many.is_empty(), "{paths:?}: {of_many:?}"),
                _ if has_pods => assert_eq!(of_many, [&"pod"], "{paths:?}"),
                _ => {}
            }
            let sets: Vec<_> = file.stages_of(&way, "stage.static_labels");
            let set = sets.iter().filter_map(|stage| match stage.get("values") {
                Some(Value::Map(items)) => Some(
                    items
                        .iter()
                        .map(|(name, _)| name.as_str())
                        .collect::<Vec<_>>(),
                ),
                _ => None,
            });
            assert_eq!(
                set.flatten().collect::<Vec<_>>(),
                ["cluster", "environment"],
                "{paths:?}: once on each way"
            );
        }
    }
}

#[test]
fn labels_and_paths_come_from_what_kubernetes_says() {
    let none: &[(&str, &str)] = &[];
    let pod = [
        ("__meta_kubernetes_namespace", "shop"),
        ("__meta_kubernetes_pod_name", "api-6b7f9c8d5-x2x4z"),
        ("__meta_kubernetes_pod_container_name", "api"),
        ("__meta_kubernetes_pod_uid", "0a1b"),
    ];
    let named = [
        (
            "__meta_kubernetes_pod_label_app_kubernetes_io_name",
            "shop-api",
        ),
        ("__meta_kubernetes_pod_label_app", "other"),
    ];
    let old = [
        ("__meta_kubernetes_pod_label_app", "shop-api"),
        ("__meta_kubernetes_pod_label_component", "web"),
    ];
    let fixed = [(
        "__meta_kubernetes_pod_annotation_kubernetes_io_config_hash",
        "9f8e",
    )];
    for path in ["alloy/api-mode.alloy", "alloy/daemonset-mode.alloy"] {
        let file = load(&[path]);
        let rules = file
            .component("discovery.relabel.pods")
            .expect("it is there");
        for (more, app, component, folder) in [
            (none, "api", None, "0a1b"),
            (&named[..], "shop-api", None, "0a1b"),
            (&old[..], "shop-api", Some("web"), "0a1b"),
            (&fixed[..], "api", None, "9f8e"),
        ] {
            let labels = relabelled(rules, &[&pod[..], more].concat());
            let label = |name: &str| labels.get(name).map(String::as_str);
            assert_eq!(label("namespace"), Some("shop"), "{path}");
            assert_eq!(label("pod"), Some("api-6b7f9c8d5-x2x4z"), "{path}");
            assert_eq!(label("container"), Some("api"), "{path}");
            assert_eq!(label("app"), Some(app), "{path}");
            assert_eq!(label("component"), component, "{path}");
            if path == "alloy/daemonset-mode.alloy" {
                assert_eq!(
                    label("__path__"),
                    Some(&*format!("/var/log/pods/*{folder}/api/*.log"))
                );
            }
        }
    }
}

#[test]
fn a_nodes_file_gives_its_name_to_its_lines() {
    let file = load(&["alloy/daemonset-mode.alloy"]);
    let lines = file.component("node_lines.trommel").expect("it is there");
    let regex = file
        .stages(lines)
        .into_iter()
        .find(|stage| stage.name == "stage.regex")
        .expect("it is there");
    let regex = Regex::new(regex.text("expression").expect("required")).expect("checked");
    for (path, component) in [
        ("/var/log/kubelet.log", "kubelet"),
        ("/var/log/controller-runtime.log", "controller-runtime"),
        ("/var/log/syslog", "syslog"),
    ] {
        let mut found = regex.create_captures();
        regex.captures(path, &mut found);
        let named = found.get_group_by_name("component").expect("it matches");
        assert_eq!(&path[named.range()], component);
    }
}

#[test]
fn secrets_are_masked_in_sensitive_namespaces_and_nothing_else_is() {
    for (path, count) in [
        ("alloy/api-mode.alloy", 2),
        ("alloy/daemonset-mode.alloy", 2),
    ] {
        let file = load(&[path]);
        let ways = file.ways();
        let mut masked = 0;
        for way in ways.iter().filter(|way| way[0].id().contains("pods")) {
            let matches = file.stages_of(way, "stage.match");
            let sensitive = matches.iter().find(|stage| {
                stage.text("selector") == Some(r#"{namespace=~"identity|payments"}"#)
            });
            let sensitive = sensitive.unwrap_or_else(|| panic!("{path}: nothing is masked"));
            for (line, expected) in [
                (
                    "login password=hunter2 from 10.0.0.9",
                    "login password=<masked> from 10.0.0.9",
                ),
                (
                    r#"{"user":"ada","Password": "hun,ter2","ok":true}"#,
                    r#"{"user":"ada","Password": "<masked>,ter2","ok":true}"#,
                ),
                (
                    "Authorization: Bearer abcdefgh.123",
                    "Authorization: Bearer <masked>",
                ),
                (
                    "dial postgres://app:s3cret@db:5432/shop",
                    "dial postgres://app:<masked>@db:5432/shop",
                ),
                (
                    "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln back",
                    "got <masked> back",
                ),
                (
                    "GET /api/projects?page=2 200 12ms",
                    "GET /api/projects?page=2 200 12ms",
                ),
                (
                    "token bucket is full; secretary called",
                    "token bucket is full; secretary called",
                ),
            ] {
                assert_eq!(masked_by(sensitive, line), expected, "{path}");
            }
            masked += 1;
        }
        assert_eq!(masked, count, "{path}");
    }
}

#[test]
fn the_readme_names_what_the_files_read_from_the_environment_and_where_they_push() {
    let page = read("alloy/README.md");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("alloy");
    let mut asked = BTreeSet::new();
    for file in std::fs::read_dir(folder).expect("it is there") {
        let path = file.expect("readable").path();
        if path.extension().is_none_or(|ending| ending != "alloy") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a file is text");
        asked.extend(found(r#"sys\.env\("([A-Z_]+)"\)"#, &text));
        for address in found("url += \"https?://([^/\"]+)/", &text) {
            assert_eq!(address, "trommel.monitoring.svc:3101", "{}", path.display());
        }
    }
    let told = found("`([A-Z]+(?:_[A-Z]+)*)`", &page);
    assert_eq!(asked, told.into_iter().collect());
    assert!(page.contains("`trommel.monitoring.svc:3101` in all of them"));
}

#[test]
fn the_readme_tells_what_an_absence_costs() {
    let page = read("alloy/README.md");
    let bounds = |path: &str| Bounds(load(&[path]).settings());
    let second = bounds("alloy/second-endpoint.alloy");
    let patient = bounds("alloy/api-mode.alloy");
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    for path in ["alloy/events.alloy", "alloy/daemonset-mode.alloy"] {
        let settings = bounds(path).0;
        assert_eq!(
            format!("{settings:?}"),
            format!("{:?}", patient.0),
            "{path} has a column with api-mode"
        );
    }
    assert_eq!(patient.lost(minute, Duration::ZERO), 0);
    let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
    let hangs = |bounds: &Bounds| seconds(bounds.gives_up_after(bounds.0.remote_timeout));
    let patience = seconds(patient.gives_up_after(Duration::ZERO));
    for told in [
        format!(
            "| up to | {}: nothing | {patience}: nothing | {patience}: nothing |",
            seconds(second.gives_up_after(Duration::ZERO))
        ),
        format!(
            "| a minute | {} batches of up to 1 MiB | nothing | nothing |",
            second.lost(minute, Duration::ZERO)
        ),
        format!(
            "| {} batches of up to 1 MiB. The rest comes late",
            patient.lost(hour, Duration::ZERO)
        ),
        format!(
            "the first row is {} and {}.",
            hangs(&second),
            hangs(&patient)
        ),
        format!(
            "once {} MiB have come since trommel's last answer",
            patient.slack_bytes() >> 20
        ),
        format!(
            "up to {} MiB of Alloy's memory",
            patient.slack_bytes() >> 20
        ),
    ] {
        assert!(page.contains(&told), "not in alloy/README.md: {told}");
    }
    let told = format!(
        "less than {}s",
        patient.gives_up_after(Duration::ZERO).as_secs_f64()
    );
    for path in ["alloy/api-mode.alloy", "alloy/daemonset-mode.alloy"] {
        assert!(read(path).contains(&told), "not in {path}: {told}");
    }
}

/// With a source of its own for trommel, as in `daemonset-mode.alloy`; everything a hundred times as fast and small.
#[test]
fn a_long_absence_of_trommel_loses_few_batches_and_the_rest_comes_late() {
    let mut settings = load(&["alloy/daemonset-mode.alloy"]).settings();
    settings.batch_size /= 100;
    for time in [
        &mut settings.batch_wait,
        &mut settings.min_backoff_period,
        &mut settings.max_backoff_period,
    ] {
        *time /= 100;
    }
    let bounds = Bounds(settings.clone());
    let setup = Setup::new(RULES).with_data();
    let trommel = setup.start();
    let loki = Proxy::start(None, []);
    let [to_loki, to_trommel] = [loki.address(), trommel.push_address()].map(Target::new);
    let for_loki = LokiWrite::start(std::slice::from_ref(&to_loki), &settings);
    let for_trommel = LokiWrite::start(std::slice::from_ref(&to_trommel), &settings);
    // A file of two megabytes, far more than finds room in the queue.
    let incident = Incident::new();
    let file: Vec<_> = (0..20_000)
        .map(|_| Arc::new(incident.failure("backend", 0)))
        .collect();
    assert!(file.iter().map(|entry| entry.line.len()).sum::<usize>() > 8 * bounds.slack_bytes());

    trommel.kill();
    let gone = Instant::now();
    let (second, absence) = std::thread::scope(|scope| {
        scope.spawn(|| file.iter().for_each(|entry| for_trommel.offer(entry)));
        file.iter().for_each(|entry| for_loki.offer(entry));
        wait::until("Loki to have everything", || {
            (for_loki.traffic(0).report.sent == file.len()).then_some(())
        });
        wait::until("batches to be given up", || {
            (for_trommel.traffic(0).batches_dropped >= 2).then_some(())
        });
        let trommel = setup.start();
        to_trommel.lead_to(trommel.push_address());
        (trommel, gone.elapsed())
    });
    let traffic = for_trommel.stop().remove(0);
    let given_up: usize = traffic.report.dropped.values().sum();
    assert!(traffic.overflows > 0, "its reader has waited: {traffic:?}");
    assert!(
        traffic.batches_dropped <= bounds.lost(absence, Duration::ZERO),
        "in {absence:?}: {traffic:?}"
    );
    assert_eq!(traffic.report.sent + given_up, file.len(), "{traffic:?}");
    // More where an answer came too late and a batch was sent again.
    assert!(second.metric("trommel_entries_total", "") >= traffic.report.sent as f64);
    let first = for_loki.stop().remove(0);
    assert_eq!(
        (first.failures, first.batches_dropped),
        (0, 0),
        "Loki has noticed nothing"
    );
}

/// The sender has each file's own settings; only batches are made sooner.
#[test]
fn a_restart_of_trommel_loses_nothing_with_the_settings_of_any_file() {
    for path in ["alloy/second-endpoint.alloy", "alloy/api-mode.alloy"] {
        let mut settings = load(&[path]).settings();
        settings.batch_wait = Duration::from_millis(50);
        let setup = Setup::new(RULES).with_data();
        let trommel = setup.start();
        let target = Target::new(trommel.push_address());
        let alloy = LokiWrite::start(std::slice::from_ref(&target), &settings);
        let incident = Incident::new();
        let (failures, quiet) = (incident.failures("backend"), incident.quiet("backend"));
        let entries: Vec<_> = failures.into_iter().chain(quiet).map(Arc::new).collect();
        alloy.offer(&entries[0]);
        wait::until("the first entry to be sent", || {
            (alloy.traffic(0).report.sent == 1).then_some(())
        });
        trommel.kill();
        for entry in &entries[1..] {
            alloy.offer(entry);
        }
        wait::until("an attempt to fail", || {
            (alloy.traffic(0).failures > 0).then_some(())
        });
        let trommel = setup.start();
        target.lead_to(trommel.push_address());
        trommel.wait_for("the recovery", |event| event.state() == "recovered");
        let [traffic] = &alloy.stop()[..] else {
            panic!("one endpoint")
        };
        assert_eq!(traffic.report.sent, entries.len(), "{path}: {traffic:?}");
        assert!(traffic.report.dropped.is_empty(), "{path}: {traffic:?}");
    }
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files as Alloy would load them; `second-endpoint.alloy` together with what it is added to.
#[track_caller]
fn load(paths: &[&str]) -> AlloyFile {
    let mut texts: Vec<_> = paths.iter().map(|path| (*path, read(path))).collect();
    if paths == ["alloy/second-endpoint.alloy"] {
        texts.push(("yours", YOURS.to_owned()));
    }
    let texts: Vec<_> = texts
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    AlloyFile::read(&texts).unwrap_or_else(|error| panic!("{error}"))
}

fn last<'a>(way: &[&'a Block]) -> &'a Block {
    way.last().expect("a way has a source")
}

/// What the `stage.replace` blocks in `stage` make of a line: each group of each match is replaced.
fn masked_by(stage: &Block, line: &str) -> String {
    let mut line = line.to_owned();
    for replace in stage.all("stage.replace") {
        let regex = Regex::new(replace.text("expression").expect("required")).expect("checked");
        let mut groups = Vec::new();
        for captures in regex.captures_iter(&line) {
            groups.extend((1..captures.group_len()).filter_map(|group| captures.get_group(group)));
        }
        assert!(
            regex.captures_len() > 1,
            "without a group nothing is replaced"
        );
        for group in groups.into_iter().rev() {
            line.replace_range(group.range(), replace.text("replace").expect("it has one"));
        }
    }
    line
}

/// What the `rule` blocks of a component make of a target, as Prometheus's relabelling does with the action `replace`.
fn relabelled(component: &Block, target: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<_, _> = target
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    for rule in component.all("rule") {
        assert!(rule.get("action").is_none(), "only `replace` is known here");
        let from = rule.get("source_labels").expect("it has some").texts();
        let values: Vec<_> = from
            .iter()
            .map(|name| labels.get(*name).map_or("", String::as_str))
            .collect();
        let value = values.join(rule.text("separator").unwrap_or(";"));
        let regex = format!("^(?:{})$", rule.text("regex").unwrap_or("(.*)"));
        let regex = Regex::new(&regex).expect("checked");
        let mut found = regex.create_captures();
        regex.captures(&value, &mut found);
        if let Some(group) = found.get_group(1) {
            let made = rule
                .text("replacement")
                .unwrap_or("$1")
                .replace("$1", &value[group.range()]);
            labels.insert(
                rule.text("target_label").expect("it has one").to_owned(),
                made,
            );
        }
    }
    labels
}

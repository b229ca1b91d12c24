//! Rules and settings that change under a running trommel: whoever changes the files, however, while pushes come in.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::event::{Event, briefs};
use crate::support::http::{Answer, Request};
use crate::support::loki::{self, Entry};
use crate::support::scratch::Scratch;
use crate::support::trommel::{Setup, Trommel, command};
use crate::support::{program, wait};

/// A rule file with one rule: each line with `text` opens a finding for its pod.
fn rule(id: &str, text: &str) -> String {
    format!("rules:\n- {}\n", one(id, text, ""))
}

fn one(id: &str, text: &str, more: &str) -> String {
    format!(
        "{{id: {id}, match: \"{text}\", by: [pod], recover: 1h, cooldown: 1h, incident_type: workload_failure{more}}}"
    )
}

/// Not valid: line 2, column 26.
const BAD: &str = "rules:\n- {id: first, match: [ }\n";

/// A trommel that reads rules from `rules` alone.
fn setup(rules: &Path) -> Setup {
    Setup::with_builtin_rules()
        .arg("--no-builtin")
        .arg("--rules")
        .arg(rules)
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.expect("the clock is past 1970").as_nanos()).expect("before 2262")
}

/// An entry of now; each call makes another one.
fn entry(pod: &str, line: &str) -> Entry {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Entry {
        labels: [("pod".to_owned(), pod.to_owned())].into(),
        at: now(),
        line: format!("{line} #{number}"),
    }
}

fn rules_answer(trommel: &Trommel) -> Value {
    let answer = trommel.admin("/api/v1/rules");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// The ids of the rules in use, those about trommel itself left out.
fn ids(trommel: &Trommel) -> Vec<String> {
    let answer = rules_answer(trommel);
    let rules = answer["rules"].as_array().expect("a list").iter();
    let ids = rules.map(|rule| rule["id"].as_str().expect("an id").to_owned());
    ids.filter(|id| !id.starts_with("trommel_")).collect()
}

#[track_caller]
fn wait_for_rules(trommel: &Trommel, expected: &[&str]) {
    wait::until(&format!("the rules {expected:?}"), || {
        (ids(trommel) == expected).then_some(())
    });
}

fn metric(trommel: &Trommel, name: &str) -> f64 {
    let value = trommel.series(name);
    value.unwrap_or_else(|| panic!("no {name} in {}", trommel.admin("/metrics").text()))
}

fn post(trommel: &Trommel) -> Answer {
    let request = Request {
        method: "POST".to_owned(),
        ..Request::get("/-/reload")
    };
    trommel.admin_request(&request)
}

/// Pushes until the rule that reads `line` opens a finding for `pod`.
#[track_caller]
fn wait_for_finding(trommel: &Trommel, key: &str, pod: &str, line: &str) -> Event {
    wait::until(key, || {
        trommel.push(&[entry(pod, line)]);
        let events = trommel.events();
        events
            .into_iter()
            .find(|event| event.data_text("dedupe_key") == key)
    })
}

/// A directory that Kubernetes has mounted a ConfigMap in: files are links into `..data`, which is a link to the present version.
struct Mount {
    folder: PathBuf,
    version: u32,
}

impl Mount {
    fn new(scratch: &Scratch, files: &[(&str, &str)]) -> Self {
        let folder = scratch.path("mounted");
        fs::create_dir(&folder).expect("a folder");
        let mut mount = Self { folder, version: 0 };
        mount.update(files);
        mount
    }

    /// Source: `AtomicWriter` in k8s.io/kubernetes/pkg/volume/util/atomic_writer.go: new files into a new directory, a new link
    /// renamed over `..data`, links for new names, then names that are gone and the old directory removed.
    fn update(&mut self, files: &[(&str, &str)]) {
        let old = format!("..v{}", self.version);
        self.version += 1;
        let new = format!("..v{}", self.version);
        let path = |name: &str| self.folder.join(name);
        fs::create_dir(path(&new)).expect("a folder");
        for (name, text) in files {
            fs::write(path(&new).join(name), text).expect("a file");
        }
        symlink(&new, path("..data_tmp")).expect("a link");
        fs::rename(path("..data_tmp"), path("..data")).expect("a name");
        for (name, _) in files {
            if fs::symlink_metadata(path(name)).is_err() {
                symlink(format!("..data/{name}"), path(name)).expect("a link");
            }
        }
        for entry in fs::read_dir(&self.folder).expect("readable") {
            let name = entry.expect("an entry").file_name();
            let name = name.to_str().expect("UTF-8");
            if !name.starts_with("..") && !files.iter().any(|(file, _)| *file == name) {
                fs::remove_file(path(name)).expect("a link");
            }
        }
        let _ = fs::remove_dir_all(path(&old));
    }
}

#[test]
fn a_configmap_that_is_updated_is_taken_into_use() {
    let scratch = Scratch::new();
    let mut mount = Mount::new(&scratch, &[("a.yaml", &rule("a", "text of a"))]);
    let trommel = setup(&mount.folder).start();
    assert_eq!(ids(&trommel), ["a"]);
    let hash = rules_answer(&trommel)["hash"].clone();

    mount.update(&[
        ("a.yaml", &rule("a", "another text")),
        ("b.yaml", &rule("b", "text of b")),
    ]);
    wait_for_rules(&trommel, &["a", "b"]);
    wait_for_finding(&trommel, "a{pod=p}", "p", "another text");
    wait_for_finding(&trommel, "b{pod=p}", "p", "text of b");
    assert_ne!(rules_answer(&trommel)["hash"], hash);
    let info = format!(
        "\ntrommel_rules_info{{hash=\"{}\"}} 1\n",
        rules_answer(&trommel)["hash"].as_str().expect("a hash")
    );
    let metrics = trommel.admin("/metrics").text();
    assert!(metrics.contains(&info), "{metrics}");
    assert_eq!(metrics.matches("trommel_rules_info{").count(), 1);

    mount.update(&[("b.yaml", &rule("c", "text of c"))]);
    wait_for_rules(&trommel, &["c"]);
}

#[test]
fn files_may_be_saved_as_editors_save_them() {
    let scratch = Scratch::new();
    let folder = scratch.path("rules");
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("r.yaml");
    fs::write(&file, rule("first", "a text")).expect("a file");
    let trommel = setup(&folder).start();
    assert_eq!(ids(&trommel), ["first"]);

    // In place, with a size that does not change and a time that is set back.
    let modified = fs::metadata(&file).and_then(|found| found.modified());
    fs::write(&file, rule("other", "a text")).expect("a file");
    let opened = fs::File::options().write(true).open(&file).expect("a file");
    opened
        .set_modified(modified.expect("a time"))
        .expect("a time may be set");
    wait_for_rules(&trommel, &["other"]);

    // A new file renamed over the old one, with a backup and a lock beside it.
    fs::write(folder.join(".#r.yaml"), BAD).expect("a file");
    fs::write(folder.join("r.yaml~"), BAD).expect("a file");
    fs::write(folder.join(".r.yaml.swp"), rule("third", "a text")).expect("a file");
    fs::rename(folder.join(".r.yaml.swp"), &file).expect("a name");
    wait_for_rules(&trommel, &["third"]);

    // Deleted and made again.
    fs::remove_file(&file).expect("it is there");
    fs::write(&file, rule("fourth", "a text")).expect("a file");
    wait_for_rules(&trommel, &["fourth"]);

    // One more file, in a folder that is new too.
    fs::create_dir(folder.join("more")).expect("a folder");
    fs::write(folder.join("more/s.yaml"), rule("fifth", "a text")).expect("a file");
    wait_for_rules(&trommel, &["fifth", "fourth"]);
    assert_eq!(
        metric(&trommel, "trommel_rules_reloads_total{outcome=\"taken\"}"),
        5.0
    );
}

#[test]
fn bad_rules_never_replace_good_ones_and_a_finding_says_so_until_they_are_good() {
    let scratch = Scratch::new();
    let file = scratch.write("r.yaml", rule("first", "a text"));
    let setup = setup(&file).with_data();
    let trommel = setup.start();
    assert_eq!(
        metric(&trommel, "trommel_rules_last_reload_successful"),
        1.0
    );
    let before = rules_answer(&trommel);
    assert_eq!(before["error"], Value::Null);

    fs::write(&file, BAD).expect("a file");
    let place = format!("{}:2:", file.display());
    let observed = trommel.wait_for("the finding", |event| event.state() == "observed");
    assert_eq!(observed.brief(), "observed trommel_rules_invalid");
    assert_eq!(observed.data_text("incident_type"), "detector_impaired");
    let summary = observed.data_text("summary").to_owned();
    assert!(summary.contains(&place), "{summary}");
    let line = &observed.data("evidence")["lines"][0]["line"];
    assert!(
        line.as_str().is_some_and(|line| line.starts_with(&place)),
        "{line}"
    );
    let answer = rules_answer(&trommel);
    assert_eq!(answer["hash"], before["hash"]);
    let error = answer["error"].as_str().expect("an error");
    assert!(error.starts_with(&place), "{error}");
    assert_eq!(
        metric(&trommel, "trommel_rules_last_reload_successful"),
        0.0
    );
    assert_eq!(
        metric(&trommel, "trommel_rules_reloads_total{outcome=\"refused\"}"),
        1.0
    );
    trommel.wait_for_log(&place);

    // The old rules go on.
    wait_for_finding(&trommel, "first{pod=p}", "p", "a text");

    fs::write(&file, rule("second", "a text")).expect("a file");
    let recovered = trommel.wait_for("the recovery", |event| {
        event.brief() == "recovered trommel_rules_invalid"
    });
    assert_eq!(recovered.data("finding_id"), observed.data("finding_id"));
    wait_for_rules(&trommel, &["second"]);
    assert_eq!(rules_answer(&trommel)["error"], Value::Null);
    assert_eq!(
        metric(&trommel, "trommel_rules_last_reload_successful"),
        1.0
    );

    // What is bad when it is started keeps it from starting; what was bad before is over after a start.
    fs::write(&file, BAD).expect("a file");
    trommel.wait_for("the finding again", |event| {
        event.brief() == "updated trommel_rules_invalid"
    });
    assert_eq!(trommel.terminate().code(), Some(0));
    let refused = program::run(
        command()
            .args(["run", "--no-builtin", "--rules"])
            .arg(&file),
        "",
    );
    assert_eq!(refused.status.code(), Some(2));
    fs::write(&file, rule("second", "a text")).expect("a file");
    let trommel = setup.start();
    trommel.wait_for("the recovery", |event| {
        event.brief() == "recovered trommel_rules_invalid"
    });
}

#[test]
fn a_changed_rule_continues_its_open_finding_and_a_removed_one_closes_it() {
    let scratch = Scratch::new();
    let both = |severity: &str, text: &str| {
        let changed = one("changed", text, &format!(", severity: {severity}"));
        format!("rules:\n- {changed}\n- {}\n", one("removed", "a text", ""))
    };
    let file = scratch.write("r.yaml", both("warning", "a text"));
    let trommel = setup(&file).start();
    trommel.push(&[entry("p", "a text")]);
    let opened: Vec<Event> = ["changed", "removed"]
        .map(|rule| {
            trommel.wait_for(rule, |event| {
                event.brief() == format!("observed {rule}{{pod=p}}")
            })
        })
        .into();

    // Another meaning and another severity: the same finding goes on, and worsens.
    fs::write(&file, both("critical", "other words")).expect("a file");
    wait::until("the new rules", || {
        let rules = rules_answer(&trommel);
        (rules["rules"][0]["severity"] == "critical").then_some(())
    });
    fs::write(&file, rule("changed", "other words")).expect("a file");
    let closed = trommel.wait_for("the end of the removed rule's finding", |event| {
        event.brief() == "recovered removed{pod=p}"
    });
    assert_eq!(closed.data_text("reason"), "rule_removed");
    assert_eq!(closed.data("finding_id"), opened[1].data("finding_id"));

    let answer = trommel.admin("/api/v1/findings?state=open").text();
    let findings: Value = serde_json::from_str(&answer).expect("JSON");
    let open = findings["findings"].as_array().expect("a list");
    assert_eq!(open.len(), 1, "{answer}");
    assert_eq!(&open[0]["finding_id"], opened[0].data("finding_id"));
    // The line of the new meaning is one more entry of it, and no finding of its own.
    trommel.push(&[entry("p", "other words"), entry("q", "other words")]);
    trommel.wait_for("another pod", |event| {
        event.brief() == "observed changed{pod=q}"
    });
    let of_p = trommel.events().into_iter();
    let of_p: Vec<_> = of_p
        .filter(|event| event.data_text("dedupe_key") == "changed{pod=p}")
        .filter(|event| event.state() != "updated")
        .collect();
    assert_eq!(briefs(&of_p), ["observed changed{pod=p}"]);
}

#[test]
fn incident_types_and_policies_change_with_the_rules() {
    let scratch = Scratch::new();
    let folder = scratch.path("rules");
    fs::create_dir(&folder).expect("a folder");
    let types = |severity: &str, action: &str| {
        format!(
            "incident_types:
- id: invoice_stuck
  domain: application_services
  display_name: Invoice stuck
  default_severity: {severity}
  policy: {{approval: [{{recover: {action}}}]}}
"
        )
    };
    let file = folder.join("types.yaml");
    fs::write(&file, types("info", "wait")).expect("a file");
    let text = rule("stuck", "a text").replace("workload_failure", "invoice_stuck");
    fs::write(folder.join("r.yaml"), text).expect("a file");
    let trommel = setup(&folder).start();
    let first = wait_for_finding(&trommel, "stuck{pod=a}", "a", "a text");
    assert_eq!(first.text("severity"), "info");

    fs::write(&file, types("critical", "start the run again")).expect("a file");
    wait::until("the type's new severity", || {
        (rules_answer(&trommel)["rules"][0]["severity"] == "critical").then_some(())
    });
    let second = wait_for_finding(&trommel, "stuck{pod=b}", "b", "a text");
    assert_eq!(second.text("severity"), "critical");
    assert_eq!(second.data("policy")["approval"][0], "start the run again");

    // A type that rules speak of cannot go.
    fs::remove_file(&file).expect("it is there");
    let observed = trommel.wait_for("the finding", |event| {
        event.brief() == "observed trommel_rules_invalid"
    });
    let summary = observed.data_text("summary");
    assert!(summary.contains("invoice_stuck"), "{summary}");
}

#[test]
fn a_signal_and_a_request_reload_at_once_what_nobody_looks_at() {
    let scratch = Scratch::new();
    let file = scratch.write("r.yaml", rule("first", "a text"));
    let settings = scratch.write("settings.yaml", "reload_interval: 0s\n");
    let trommel = setup(&file).arg("--config").arg(&settings).start();

    fs::write(&file, rule("second", "a text")).expect("a file");
    let answer = post(&trommel);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let hash = rules_answer(&trommel)["hash"].clone();
    assert!(
        answer.text().contains(hash.as_str().expect("a hash")),
        "{}",
        answer.text()
    );
    assert_eq!(ids(&trommel), ["second"]);

    fs::write(&file, BAD).expect("a file");
    let answer = post(&trommel);
    assert_eq!(answer.status, 422);
    let place = format!("{}:2:", file.display());
    assert!(answer.text().starts_with(&place), "{}", answer.text());
    assert_eq!(ids(&trommel), ["second"]);
    // Asked again it says so again.
    assert_eq!(post(&trommel).status, 422);
    assert_eq!(trommel.admin("/-/reload").status, 405);

    fs::write(&file, rule("third", "a text")).expect("a file");
    trommel.signal("HUP");
    wait_for_rules(&trommel, &["third"]);
    wait_for_finding(&trommel, "third{pod=p}", "p", "a text");
}

#[test]
fn settings_that_can_change_do_and_those_that_cannot_are_named() {
    let scratch = Scratch::new();
    let file = scratch.write("r.yaml", rule("first", "a text"));
    let settings = scratch.write("settings.yaml", "");
    let trommel = setup(&file).arg("--config").arg(&settings).start();
    wait_for_finding(&trommel, "first{pod=a}", "a", "a text");
    let config = || -> Value {
        serde_json::from_slice(&trommel.admin("/api/v1/config").body).expect("JSON")
    };

    let new = "exclude: [pod=noisy]
evidence: {redact: ['hush[0-9]+'], sensitive_namespaces: [vault]}
log: {level: debug}
cluster: elsewhere
";
    fs::write(&settings, new).expect("a file");
    wait::until("the settings to be read", || {
        let waits = &config()["after_restart"];
        (*waits == serde_json::json!(["`cluster` changed from `default` to `elsewhere`"]))
            .then_some(())
    });
    trommel.wait_for_log(
        "`cluster` changed from `default` to `elsewhere`: takes effect after a restart",
    );
    assert_eq!(
        metric(&trommel, "trommel_config_settings_after_restart"),
        1.0
    );

    let mut secret = entry("vault-0", "a text of the vault");
    secret
        .labels
        .insert("namespace".to_owned(), "vault".to_owned());
    trommel.push(&[
        entry("noisy", "a text"),
        entry("b", "a text with hush42 in it"),
        secret,
    ]);
    let quoted = |pod: &str| {
        let key = format!("first{{pod={pod}}}");
        let event = trommel.wait_for(&key, |event| event.data_text("dedupe_key") == key);
        assert_eq!(event.text("source"), "/trommel/default/default");
        event.data("evidence").to_string()
    };
    let line = quoted("b");
    assert!(
        line.contains("redacted:pattern") && !line.contains("hush42"),
        "{line}"
    );
    let line = quoted("vault-0");
    assert!(!line.contains("of the vault"), "{line}");
    let excluded = |event: &Event| event.data_text("dedupe_key") == "first{pod=noisy}";
    assert!(!trommel.events().iter().any(excluded));
    // The admin listener says at `debug` when a client leaves, the push server what it refuses.
    let refused = trommel
        .push_client()
        .send(&Request::push_json(b"{".to_vec()))
        .expect("an answer");
    assert_eq!(refused.status, 400);
    wait::until("the log to be more talkative", || {
        trommel.log().contains("push rejected").then_some(())
    });

    // A mistake anywhere, and nothing of the file is taken.
    fs::write(&settings, "exclude: []\nlimits: {body_bytes_max: 1}\n").expect("a file");
    let observed = trommel.wait_for("the finding", |event| {
        event.brief() == "observed trommel_config_invalid"
    });
    let summary = observed.data_text("summary");
    assert!(
        summary.contains("limits.body_bytes_max: 1B is not between"),
        "{summary}"
    );
    let error = config()["error"].clone();
    assert!(
        error
            .as_str()
            .is_some_and(|error| error.starts_with("limits.body_bytes_max")),
        "{error}"
    );
    assert_eq!(
        metric(&trommel, "trommel_config_last_reload_successful"),
        0.0
    );
    assert_eq!(
        metric(&trommel, "trommel_rules_last_reload_successful"),
        1.0
    );
    assert_eq!(post(&trommel).status, 422);
    trommel.push(&[entry("noisy", "a text"), entry("c", "a text")]);
    quoted("c");
    assert!(!trommel.events().iter().any(excluded));

    fs::write(&settings, "exclude: []\n").expect("a file");
    trommel.wait_for("the recovery", |event| {
        event.brief() == "recovered trommel_config_invalid"
    });
    assert_eq!(config()["after_restart"], serde_json::json!([]));
    wait_for_finding(&trommel, "first{pod=noisy}", "noisy", "a text");
}

#[test]
fn settings_can_name_other_rules() {
    let scratch = Scratch::new();
    let first = scratch.write("first.yaml", rule("first", "a text"));
    let second = scratch.write("second.yaml", rule("second", "a text"));
    let text = |rules: &Path| format!("builtin: false\nrules: [{}]\n", rules.display());
    let settings = scratch.write("settings.yaml", text(&first));
    let trommel = Setup::with_builtin_rules()
        .arg("--config")
        .arg(&settings)
        .start();
    assert_eq!(ids(&trommel), ["first"]);
    fs::write(&settings, text(&second)).expect("a file");
    wait_for_rules(&trommel, &["second"]);

    // Rules that are not there are refused as rules; the settings that name them are fine.
    fs::write(&settings, text(&scratch.path("nowhere.yaml"))).expect("a file");
    let observed = trommel.wait_for("the finding", |event| event.state() == "observed");
    assert_eq!(observed.brief(), "observed trommel_rules_invalid");
    assert_eq!(ids(&trommel), ["second"]);
    assert_eq!(
        metric(&trommel, "trommel_config_last_reload_successful"),
        1.0
    );
}

#[test]
fn the_page_about_reloads_names_every_setting_that_changes_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reload.md");
    let page = fs::read_to_string(path).expect("the page is there");
    let (_, table) = page
        .split_once("| setting | from then on |")
        .expect("the table");
    let (table, _) = table.split_once("\n\n").expect("its end");
    for setting in trommel::config::settings() {
        let is_live = trommel::reload::LIVE.iter().any(|live| {
            *live == setting.key || live.ends_with('.') && setting.key.starts_with(live)
        });
        let key = format!("`{}`", setting.key);
        assert_eq!(table.contains(&key), is_live, "{key}");
    }
}

/// How often rules are exchanged while lines come in, and how many senders there are.
const RELOADS: usize = 60;
const SENDERS: usize = 3;

#[test]
fn every_line_counts_exactly_once_however_often_rules_change_meanwhile() {
    let scratch = Scratch::new();
    let file = scratch.path("r.yaml");
    // `steady` means the same all the time and `turning` something else each time, both of them every line; their places in the
    // set change as `p…` comes and goes in front of them, and `z…` behind. A hit that is applied to another rule, or to none, or
    // a line that only a rule set saw that was no longer in use, changes a total.
    let set = |round: usize| {
        let before = (0..round % 3).map(|n| one(&format!("p{n}"), "a text", ""));
        let after = (0..round % 2).map(|n| one(&format!("z{n}"), "a text", ""));
        let rules: Vec<_> = before
            .chain([
                one("steady", "a text", &format!(", description: round {round}")),
                one("turning", ["a text", "text #"][round % 2], ""),
            ])
            .chain(after)
            .collect();
        format!("rules:\n- {}\n", rules.join("\n- "))
    };
    fs::write(&file, set(0)).expect("a file");
    let settings = scratch.write(
        "settings.yaml",
        "reload_interval: 0s\nlimits: {answer_deadline: 30s}\n",
    );
    let trommel = setup(&file).arg("--config").arg(&settings).start();
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (trommel, over, sent) = (&trommel, &over, &sent);
            scope.spawn(move || {
                let mut client = trommel.push_client();
                for round in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let count = 1 + (round * 7 + sender) % 40;
                    let entries: Vec<_> = (0..count).map(|_| entry("p", "a text")).collect();
                    let request = Request::push_protobuf(loki::protobuf(&entries));
                    let answer = client.send(&request).expect("an answer");
                    assert_eq!(answer.status, 204, "{}", answer.text());
                    sent.fetch_add(count as u64, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=RELOADS {
            let before = sent.load(Ordering::Relaxed);
            fs::write(&file, set(round)).expect("a file");
            let answer = post(&trommel);
            assert_eq!(answer.status, 200, "{}", answer.text());
            // Lines come in between any two reloads, and while they are made.
            wait::until("more lines", || {
                (sent.load(Ordering::Relaxed) > before + 50).then_some(())
            });
        }
        over.store(true, Ordering::Relaxed);
    });
    let sent = sent.into_inner();
    for rule in ["steady", "turning"] {
        let counted = format!("trommel_rule_matches_total{{rule=\"{rule}\"}}");
        assert_eq!(metric(&trommel, &counted) as u64, sent, "{rule}");
    }
    for name in [
        "trommel_entries_shed_total",
        "trommel_entries_early_total",
        "trommel_duplicates_total",
    ] {
        assert_eq!(metric(&trommel, name), 0.0, "{name}");
    }
    let log = trommel.log();
    assert!(!log.contains("no longer in use"), "{log}");

    // And the finding knows of every one of them: removed, it says how many there were.
    fs::write(&file, rule("other", "nothing of the kind")).expect("a file");
    assert_eq!(post(&trommel).status, 200);
    let closed = trommel.wait_for("the end of the finding", |event| {
        event.brief() == "recovered steady{pod=p}"
    });
    assert_eq!(closed.data("counts")["total"], sent);
    let events = trommel.events();
    let opened = events
        .iter()
        .filter(|event| event.brief() == "observed steady{pod=p}");
    assert_eq!(opened.count(), 1);
}

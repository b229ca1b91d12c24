use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::{Config, RawConfig};
use crate::rules::edit::Tree;
use crate::rules::{Code, Level, LoadOptions, load};

impl Workshop {
    /// Of the rules below `paths` and those that ship, all of which are in use.
    pub(crate) fn of_paths(paths: Vec<PathBuf>, writable: Option<PathBuf>) -> Self {
        let sources = sources(paths, writable);
        let read = sources.read().into_read().sources;
        let set = load(&read, &LoadOptions::of_instance("")).set;
        let set = Arc::new(set.unwrap_or_default().with_own());
        Self::new(watch::channel(sources).1, watch::channel(set).1)
    }

    /// Without any rules in use.
    pub(crate) fn empty() -> Self {
        let set = watch::channel(Arc::new(RuleSet::default())).1;
        Self::new(watch::channel(sources(Vec::new(), None)).1, set)
    }

    /// The rules in use.
    pub(crate) fn in_use(&self) -> watch::Receiver<Arc<RuleSet>> {
        self.in_use.clone()
    }

    fn bench(&self) -> Bench {
        Bench {
            sources: self.sources.borrow().clone(),
            in_use: Arc::clone(&self.in_use.borrow()),
        }
    }
}

fn sources(paths: Vec<PathBuf>, writable: Option<PathBuf>) -> RuleSources {
    let raw = RawConfig {
        rules: Some(paths),
        rules_writable: writable,
        ..RawConfig::default()
    };
    RuleSources::of(&Config::check(raw).expect("valid"))
}

/// A directory of its own that goes away again.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("trommel-workshop-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("rules")).expect("a temporary directory");
        Self(path)
    }

    fn rules(&self) -> PathBuf {
        self.0.join("rules")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.rules().join(name), text).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.rules().join(name)).expect("a file")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.rules()).expect("a directory");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn bench(&self) -> Bench {
        Workshop::of_paths(vec![self.rules()], Some(self.rules())).bench()
    }

    fn read_only(&self) -> Bench {
        Workshop::of_paths(vec![self.rules()], None).bench()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MINE: &str = "# Ours.
rules:
  - id: mine  # the first
    match: connection refused by shop
    threshold: 5 in 10m
    incident_type: error_spike
    catches: [connection refused by shop]
";

fn keys(rule: &str, keys: &[(&str, Option<&str>)]) -> Proposal {
    let keys = keys.iter().map(|(key, value)| {
        let value = value.map(|value| Tree::read(value).expect("YAML"));
        ((*key).to_owned(), value)
    });
    Proposal::Keys {
        rule: rule.to_owned(),
        keys: keys.collect(),
        file: None,
    }
}

fn text(file: &str, text: &str) -> Proposal {
    Proposal::Text {
        file: file.to_owned(),
        text: text.to_owned(),
    }
}

/// What is noted of a change, and about what.
fn deeds(saved: &Checked) -> Vec<String> {
    let deeds = saved.deeds("ann", "").into_iter();
    deeds
        .map(|deed| format!("{} {}", deed.what, deed.target))
        .collect()
}

/// What comes of `proposal`, saved.
fn save(bench: &Bench, proposal: Proposal) -> Result<Checked, Refused> {
    let files = bench.files();
    let proposed = files.propose(proposal)?;
    bench.save(&files, &proposed, None)
}

#[test]
fn a_change_is_checked_with_what_it_changes_and_saved_with_every_other_byte() {
    let scratch = Scratch::new("saved");
    let mine = MINE.replace("error_spike", "runtime_dependency_outage");
    scratch.write("mine.yaml", &mine);
    let bench = scratch.bench();
    let saved = save(
        &bench,
        keys(
            "mine",
            &[
                ("threshold", Some("7 in 5m")),
                ("actions", Some("[observe]")),
            ],
        ),
    );
    let saved = saved.expect("saved");
    assert_eq!(deeds(&saved), ["rule.changed mine"]);
    let deed = &saved.deeds("ann", "too late")[0];
    assert_eq!((&*deed.who, &*deed.reason), ("ann", "too late"));
    assert_eq!(deed.diff, saved.diff);
    assert_eq!((saved.errors, saved.file.as_str()), (0, "mine.yaml"));
    let changes = saved.changes.expect("valid");
    assert_eq!(changes.changed, ["mine"]);
    assert_eq!(changes.begins_anew, ["mine"]);
    let environments: Vec<_> = saved.policy["mine"]
        .iter()
        .map(|it| it.environment.as_str())
        .collect();
    assert!(
        environments.contains(&"") && environments.contains(&"staging"),
        "{environments:?}"
    );
    let automatic = &saved.policy["mine"][0].decided.automatic;
    let automatic: Vec<_> = automatic.iter().map(|it| it.action.as_str()).collect();
    assert_eq!(automatic, ["observe"]);
    assert_eq!(
        scratch.read("mine.yaml"),
        mine.replace("5 in 10m", "7 in 5m").replace(
            "dependency_outage\n",
            "dependency_outage\n    actions: [observe]\n"
        )
    );
    assert_eq!(scratch.names(), ["mine.yaml"]);
}

#[test]
fn a_rule_that_ships_is_extended_in_a_file_of_its_own() {
    let scratch = Scratch::new("extended");
    scratch.write("mine.yaml", MINE);
    let bench = scratch.bench();
    let saved = save(&bench, keys("tls_x509", &[("enabled", Some("false"))])).expect("saved");
    assert_eq!(deeds(&saved), ["rule.disabled tls_x509"]);
    assert_eq!(
        scratch.read("overrides.yaml"),
        "rules:\n  - extends: tls_x509\n    enabled: false\n"
    );
    let bench = scratch.bench();
    let saved = save(
        &bench,
        keys("tls_x509", &[("enabled", None), ("cooldown", Some("1h"))]),
    )
    .expect("saved");
    assert_eq!(deeds(&saved), ["rule.enabled tls_x509"]);
    assert_eq!(saved.changes.expect("valid").added, ["tls_x509"]);
    assert_eq!(
        scratch.read("overrides.yaml"),
        "rules:\n  - extends: tls_x509\n    cooldown: 1h\n"
    );
}

#[test]
fn what_is_wrong_is_told_as_check_tells_it_and_nothing_is_written() {
    let scratch = Scratch::new("wrong");
    scratch.write("mine.yaml", MINE);
    let bench = scratch.bench();
    let wrong = save(&bench, keys("mine", &[("threshold", Some("often"))]));
    let Err(Refused::Wrong(checked)) = wrong else {
        panic!("{wrong:?}");
    };
    let diagnostic = &checked.problems[0];
    let problem = &diagnostic.problem;
    assert_eq!(
        (problem.level, problem.code, problem.line, problem.column),
        (Level::Error, Code::Threshold, 5, 16)
    );
    assert!(
        diagnostic.here && diagnostic.rendered.contains("threshold: often"),
        "{}",
        diagnostic.rendered
    );
    assert!(checked.changes.is_none());
    // The same text through the command says the same.
    let sources = [crate::rules::SourceText {
        name: scratch.rules().join("mine.yaml").display().to_string(),
        text: checked.text.clone(),
    }];
    let told = crate::rule_check::check(&sources, &LoadOptions::default()).problems;
    assert_eq!(told.len(), checked.problems.len());
    assert_eq!(told[0].message, problem.message);
    // A hard constraint is named as such.
    let more = format!(
        "{MINE}incident_types:\n  - id: error_spike\n    policy: {{automatic: [{{disruptive: reboot}}]}}\n"
    );
    let files = bench.files();
    let proposed = files.propose(text("mine.yaml", &more)).expect("a file");
    let checked = bench.check(&files, &proposed);
    assert!(
        checked
            .problems
            .iter()
            .any(|it| it.hard_constraint && it.problem.message.contains("a hard constraint")),
        "{:?}",
        checked.problems
    );
    assert_eq!(scratch.read("mine.yaml"), MINE);
    assert_eq!(scratch.names(), ["mine.yaml"]);
}

#[test]
fn whoever_edited_something_else_is_told_what_is_there_now() {
    let scratch = Scratch::new("conflict");
    scratch.write("mine.yaml", MINE);
    let bench = scratch.bench();
    let files = bench.files();
    let proposed = files
        .propose(keys("mine", &[("severity", Some("critical"))]))
        .expect("a change");
    let seen = proposed.hash();
    let other = MINE.replace("5 in 10m", "6 in 10m");
    scratch.write("mine.yaml", &other);
    // Written between reading and renaming.
    assert!(matches!(
        bench.save(&files, &proposed, Some(&seen)),
        Err(Refused::Conflict { .. })
    ));
    // Written before reading.
    let files = bench.files();
    let proposed = files.propose(text("mine.yaml", MINE)).expect("a change");
    let Err(Refused::Conflict { hash, diff, .. }) = bench.save(&files, &proposed, Some(&seen))
    else {
        panic!("it is another file");
    };
    assert_eq!(hash, digest_of(Some(&other)));
    assert!(
        diff.contains("-    threshold: 6 in 10m\n+    threshold: 5 in 10m\n"),
        "{diff}"
    );
    assert_eq!(scratch.read("mine.yaml"), other);
    // A new file that somebody else has made meanwhile.
    let proposed = files.propose(text("new.yaml", MINE)).expect("a change");
    scratch.write("new.yaml", "rules: []\n");
    let Err(error) = bench.save(&files, &proposed, Some("none")) else {
        panic!("it is there");
    };
    assert!(
        matches!(error, Refused::Wrong(_) | Refused::Conflict { .. }),
        "{error}"
    );
    assert_eq!(scratch.read("new.yaml"), "rules: []\n");
}

#[test]
fn names_and_places_that_lead_elsewhere_are_refused() {
    let scratch = Scratch::new("places");
    scratch.write("mine.yaml", MINE);
    fs::create_dir(scratch.rules().join("sub")).expect("a directory");
    fs::write(
        scratch.rules().join("sub/below.yaml"),
        MINE.replace("mine", "below"),
    )
    .expect("a file");
    fs::write(scratch.0.join("outside.yaml"), "rules: []\n").expect("a file");
    std::os::unix::fs::symlink("../outside.yaml", scratch.rules().join("link.yaml"))
        .expect("a link");
    std::os::unix::fs::symlink("nowhere.yaml", scratch.rules().join("broken.yaml"))
        .expect("a link");
    let bench = scratch.bench();
    let files = bench.files();
    let absolute = scratch.0.join("outside.yaml").display().to_string();
    for name in [
        "../outside.yaml",
        "/etc/passwd",
        &absolute,
        "a/b.yaml",
        "..",
        ".yaml",
        ".hidden.yaml",
        "A.yaml",
        "a.yml",
        "a.yaml ",
        "a\0.yaml",
        "é.yaml",
        "a_test.yaml",
        "",
        "broken.yaml",
        "builtin/taxonomy.yaml",
        &format!("{}.yaml", "a".repeat(100)),
    ] {
        let refused = files.propose(text(name, "rules: []\n"));
        assert!(
            matches!(refused, Err(Refused::Bad(_))),
            "{name}: {refused:?}"
        );
    }
    for (name, why) in [
        ("link.yaml", "is a link"),
        ("sub/below.yaml", "the one directory"),
    ] {
        let proposed = files
            .propose(text(name, "rules: []\n"))
            .expect("it is there");
        let refused = bench.save(&files, &proposed, None);
        let Err(Refused::ReadOnly(told)) = refused else {
            panic!("{name}: {refused:?}");
        };
        assert!(told.contains(why), "{told}");
    }
    let large = files.propose(text("mine.yaml", &"#".repeat(TEXT_BYTES_MAX + 1)));
    assert!(matches!(large, Err(Refused::Bad(_))));
    assert_eq!(
        fs::read_to_string(scratch.0.join("outside.yaml")).expect("a file"),
        "rules: []\n"
    );
}

#[test]
fn a_directory_that_leads_elsewhere_is_no_place_to_write() {
    let scratch = Scratch::new("elsewhere");
    fs::create_dir(scratch.0.join("other")).expect("a directory");
    let link = scratch.rules().join("mine");
    std::os::unix::fs::symlink(scratch.0.join("other"), &link).expect("a link");
    let bench = Workshop::of_paths(vec![scratch.rules()], Some(link)).bench();
    let files = bench.files();
    let proposed = files.propose(text("mine.yaml", MINE)).expect("a name");
    let Err(Refused::ReadOnly(why)) = bench.save(&files, &proposed, None) else {
        panic!("it leads elsewhere");
    };
    assert!(why.contains("in no directory of `rules`"), "{why}");
    assert!(!scratch.0.join("other/mine.yaml").exists());
}

#[test]
fn without_a_place_to_write_a_patch_is_handed_out() {
    let scratch = Scratch::new("read-only");
    scratch.write("mine.yaml", MINE);
    let bench = scratch.read_only();
    let files = bench.files();
    let proposed = files
        .propose(keys("mine", &[("severity", Some("info"))]))
        .expect("a change");
    let checked = bench.check(&files, &proposed);
    assert!(
        !checked.writable
            && checked
                .why_not
                .expect("a reason")
                .contains("`rules_writable`")
    );
    assert!(
        checked
            .diff
            .starts_with("--- a/mine.yaml\n+++ b/mine.yaml\n@@ "),
        "{}",
        checked.diff
    );
    assert!(matches!(
        bench.save(&files, &proposed, None),
        Err(Refused::ReadOnly(_))
    ));
    assert_eq!(scratch.read("mine.yaml"), MINE);
}

#[test]
fn tests_that_name_a_rule_are_run() {
    let scratch = Scratch::new("tests");
    scratch.write("mine.yaml", MINE);
    scratch.write(
        "mine_test.yaml",
        "rules: [mine.yaml]
tests:
  - name: five are a finding
    logs: 0m +1m x5 connection refused by shop
    expect: [4m observed mine]
  - name: four are one too
    logs: 0m +1m x4 connection refused by shop
    expect: [3m observed mine]
  - name: of others
    logs: 0m hello
    expect: []
",
    );
    let found = scratch.bench().tests("mine");
    let told: Vec<_> = found
        .tests
        .iter()
        .map(|it| (it.name.as_str(), it.passed))
        .collect();
    assert_eq!(
        told,
        [("five are a finding", true), ("four are one too", false)]
    );
    assert!(
        found.tests[1]
            .difference
            .iter()
            .any(|line| line.starts_with('-')),
        "{found:?}"
    );
    assert_eq!((found.broken.len(), found.cut), (0, false));
}

#[tokio::test]
async fn one_works_at_a_time_and_a_panic_ends_nothing() {
    let scratch = Scratch::new("turns");
    let workshop = Workshop::of_paths(vec![], None);
    let failed = workshop
        .work(|_| -> Result<(), Refused> { panic!("on purpose") })
        .await;
    assert!(matches!(failed, Err(Refused::Failed(_))));
    assert_eq!(workshop.work(|_| Ok(7)).await.expect("it goes on"), 7);
    assert!(Path::new(&scratch.0).is_dir());
}

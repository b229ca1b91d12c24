//! Rules that are changed through the admin port: by programs and by forms, into files that stay the one truth.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::http::{Answer, Request};
use crate::support::loki::Entry;
use crate::support::scratch::Scratch;
use crate::support::trommel::{Setup, Trommel};
use crate::support::{program, wait};

const MINE: &str = "# Ours, looked after by the shop.
rules:
  # It was five until the outage.
  - id: refused  # by name
    match: connection refused by shop
    threshold: 50 in 1h
    incident_type: workload_failure
    catches: [connection refused by shop]
  - {id: other, match: no such basket, incident_type: error_spike, catches: [no such basket]}
";

/// A trommel with a directory of rules of its own.
struct Shop {
    trommel: Trommel,
    rules: PathBuf,
    _scratch: Scratch,
}

impl Shop {
    fn open(writable: bool) -> Self {
        let scratch = Scratch::new();
        let rules = scratch.path("rules");
        fs::create_dir(&rules).expect("a directory");
        fs::write(rules.join("mine.yaml"), MINE).expect("a file");
        let mut settings = format!("rules: [{}]\n", rules.display());
        if writable {
            settings += &format!("rules_writable: {}\n", rules.display());
        }
        // What is saved is read because it was saved, not because somebody looked.
        settings += "reload_interval: 0\n";
        let setup = Setup::with_builtin_rules().with_settings(&settings);
        Self {
            trommel: setup.start(),
            rules,
            _scratch: scratch,
        }
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.rules.join(name)).expect("a file")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.rules).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.map(|it| it.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.send(method, path, "application/json", body.to_string());
        let told = serde_json::from_slice(&answer.body);
        (
            answer.status,
            told.unwrap_or_else(|_| panic!("{}", answer.text())),
        )
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: String) -> Answer {
        let request = Request {
            method: method.to_owned(),
            body: body.into_bytes(),
            ..Request::get(path)
        };
        self.trommel
            .admin_request(&request.with_header("Content-Type", kind))
    }

    /// How many saves had that outcome.
    fn saves(&self, outcome: &str) -> Option<f64> {
        let series = format!("trommel_rule_saves_total{{outcome=\"{outcome}\"}}");
        self.trommel.series(&series)
    }

    fn page(&self, path: &str) -> String {
        let answer = self.trommel.admin(path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    /// Sends the form of `page` that has the hidden field `of`, with other values for `fields`.
    fn fill(&self, page: &str, of: &str, fields: &[(&str, &str)]) -> Answer {
        let (_, form) = page
            .split("<form ")
            .map(|form| (form.contains(&format!("name=\"of\" value=\"{of}\"")), form))
            .find(|(is_it, _)| *is_it)
            .expect("the form");
        let form = form.split("</form>").next().expect("its end");
        let mut sent: Vec<(String, String)> = Vec::new();
        for input in form.split("<input ").skip(1) {
            let value = |name: &str| {
                let (_, rest) = input.split_once(&format!("{name}=\""))?;
                Some(plain(rest.split_once('"')?.0))
            };
            if let Some(name) = value("name") {
                sent.push((name, value(" value").unwrap_or_default()));
            }
        }
        for (name, value) in fields {
            sent.retain(|(sent, _)| sent != name);
            sent.push(((*name).to_owned(), (*value).to_owned()));
        }
        let encoded: Vec<_> = sent
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        let path = page.split("action=\"/rules/").nth(1).expect("an action");
        let path = format!("/rules/{}", path.split('"').next().expect("its end"));
        self.send(
            "POST",
            &path,
            "application/x-www-form-urlencoded",
            encoded.join("&"),
        )
    }
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => (byte as char).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn refused(number: i64) -> Entry {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("past 1970");
    Entry {
        labels: [("app".to_owned(), "shop".to_owned())].into(),
        at: i64::try_from(now.as_nanos()).expect("before 2262") + number,
        line: format!("connection refused by shop #{number}"),
    }
}

#[test]
fn a_rule_that_is_saved_is_in_use_and_every_other_byte_of_its_file_is_as_it_was() {
    let shop = Shop::open(true);
    let (status, rule) = shop.ask("GET", "/api/v1/rules/refused", &json!({}));
    assert_eq!(status, 200, "{rule}");
    assert_eq!(rule["written"]["file"], "mine.yaml");
    assert_eq!(rule["examples"][0]["passed"], true);
    let entries: Vec<_> = (0..3).map(refused).collect();
    shop.trommel.push(&entries);
    let change = json!({"keys": {"threshold": "3 in 1h", "severity": "critical"}, "hash": rule["written"]["hash"], "reason": "three are enough"});
    let (status, saved) = shop.ask("PUT", "/api/v1/rules/refused", &change);
    assert_eq!(status, 200, "{saved}");
    assert_eq!(saved["in_use"], true, "{saved}");
    assert_eq!(saved["checked"]["changes"]["changed"], json!(["refused"]));
    assert_eq!(
        shop.file("mine.yaml"),
        MINE.replace("50 in 1h\n", "3 in 1h\n    severity: critical\n")
    );
    assert_eq!(shop.names(), ["mine.yaml"]);
    let (_, audit) = shop.ask("GET", "/api/v1/audit", &json!({}));
    let audit = audit.to_string();
    for noted in [
        "\"rule.changed\"",
        "\"refused\"",
        "three are enough",
        "+    threshold: 3 in 1h",
    ] {
        assert!(audit.contains(noted), "{noted}: {audit}");
    }
    let entries: Vec<_> = (10..13).map(refused).collect();
    shop.trommel.push(&entries);
    let finding = shop.trommel.wait_for("the rule fires", |event| {
        event.data("rule")["id"] == "refused" && event.data_text("severity") == "critical"
    });
    assert_eq!(finding.state(), "observed");
}

#[test]
fn a_rule_that_ships_is_extended_and_switched_off_and_a_new_one_is_added() {
    let shop = Shop::open(true);
    let off = json!({"keys": {"enabled": false}, "hash": "none"});
    let (status, saved) = shop.ask("PUT", "/api/v1/rules/tls_x509", &off);
    assert_eq!(status, 200, "{saved}");
    assert_eq!(saved["checked"]["changes"]["removed"], json!(["tls_x509"]));
    assert_eq!(
        shop.file("overrides.yaml"),
        "rules:\n  - extends: tls_x509\n    enabled: false\n"
    );
    // It is off, and still has a page on which it can be switched on.
    assert!(
        shop.page("/rules/tls_x509")
            .contains("This rule is off here")
    );
    let new = json!({"file": "new.yaml", "keys": {"id": "basket_lost", "match": "basket is gone", "incident_type": "error_spike", "catches": ["basket is gone"]}});
    let (status, saved) = shop.ask("POST", "/api/v1/rules", &new);
    assert_eq!(status, 200, "{saved}");
    let (_, rule) = shop.ask("GET", "/api/v1/rules/basket_lost", &json!({}));
    assert_eq!(
        rule["rule"]["source"]
            .as_str()
            .map(|it| it.ends_with("new.yaml:2")),
        Some(true),
        "{rule}"
    );
}

#[test]
fn what_is_wrong_is_refused_with_its_place_and_nothing_is_written() {
    let shop = Shop::open(true);
    let text = MINE.replace("50 in 1h", "often");
    let (status, checked) = shop.ask(
        "POST",
        "/api/v1/check",
        &json!({"file": "mine.yaml", "text": text}),
    );
    assert_eq!(status, 200, "{checked}");
    let problem = &checked["problems"][0];
    assert_eq!(
        (&problem["code"], &problem["line"], &problem["column"]),
        (&json!("R013"), &json!(6), &json!(16))
    );
    assert!(
        problem["rendered"]
            .as_str()
            .is_some_and(|it| it.contains("threshold: often")),
        "{problem}"
    );
    let (_, file) = shop.ask("GET", "/api/v1/rule-files/mine.yaml", &json!({}));
    let change = json!({"text": text, "hash": file["hash"]});
    let (status, told) = shop.ask("PUT", "/api/v1/rule-files/mine.yaml", &change);
    assert_eq!(
        (status, &told["checked"]["errors"]),
        (422, &json!(1)),
        "{told}"
    );
    assert_eq!(shop.saves("wrong"), Some(1.0));
    let constraint = format!(
        "{MINE}incident_types:\n  - id: error_spike\n    policy: {{automatic: [{{recover: restart it}}]}}\n"
    );
    let (_, checked) = shop.ask(
        "POST",
        "/api/v1/check",
        &json!({"file": "mine.yaml", "text": constraint}),
    );
    let named = checked["problems"].as_array().into_iter().flatten();
    assert!(
        named
            .into_iter()
            .any(|it| it["hard_constraint"] == true && it["code"] == "R032"),
        "{checked}"
    );
    for name in [
        "..%2Fmine.yaml",
        "a_test.yaml",
        "UPPER.yaml",
        ".hidden.yaml",
        "builtin%2Ftaxonomy.yaml",
    ] {
        let change = json!({"text": "rules: []\n", "hash": "none"});
        let (status, told) = shop.ask("PUT", &format!("/api/v1/rule-files/{name}"), &change);
        assert_eq!(status, 400, "{name}: {told}");
    }
    let large = json!({"file": "mine.yaml", "text": "#".repeat((256 << 10) + 1)});
    let (status, told) = shop.ask("POST", "/api/v1/check", &large);
    assert_eq!(status, 400, "{told}");
    assert_eq!(shop.file("mine.yaml"), MINE);
    assert_eq!(shop.names(), ["mine.yaml"]);
    let (_, rules) = shop.ask("GET", "/api/v1/rules", &json!({}));
    assert_eq!(rules["error"], Value::Null);
}

#[test]
fn whoever_edited_what_is_no_longer_there_is_told_what_is() {
    let shop = Shop::open(true);
    let (_, file) = shop.ask("GET", "/api/v1/rule-files/mine.yaml", &json!({}));
    let theirs = json!({"keys": {"cooldown": "1h"}, "hash": file["hash"]});
    let (status, _) = shop.ask("PUT", "/api/v1/rules/refused", &theirs);
    assert_eq!(status, 200);
    let text = MINE.replace("50 in 1h", "40 in 1h");
    let ours = json!({"text": text, "hash": file["hash"]});
    let (status, told) = shop.ask("PUT", "/api/v1/rule-files/mine.yaml", &ours);
    assert_eq!(status, 409, "{told}");
    let saves = ["saved", "conflict"].map(|outcome| shop.saves(outcome));
    assert_eq!(saves, [Some(1.0); 2]);
    assert!(
        told["diff"]
            .as_str()
            .is_some_and(|it| it.contains("-    cooldown: 1h\n")),
        "{told}"
    );
    let again = json!({"text": text, "hash": told["hash"]});
    assert_eq!(
        shop.ask("PUT", "/api/v1/rule-files/mine.yaml", &again).0,
        200
    );
    assert_eq!(shop.file("mine.yaml"), text);
}

#[test]
fn where_nothing_may_be_written_the_patch_is_what_patch_and_git_take() {
    let shop = Shop::open(false);
    let before = shop.page("/rules/refused");
    assert!(
        !before.contains("value=\"save\""),
        "nothing can be saved here"
    );
    let (status, told) = shop.ask(
        "PUT",
        "/api/v1/rules/refused",
        &json!({"keys": {"cooldown": "1h"}}),
    );
    assert_eq!(status, 403, "{told}");
    assert_eq!(shop.saves("read_only"), Some(1.0));
    let mine = [
        ("threshold", "7 in 5m"),
        ("environments", "[staging, production]"),
        ("do", "patch"),
    ];
    let mine = shop.fill(&before, "keys", &mine);
    assert_eq!(
        (mine.status, mine.header("content-type")),
        (200, Some("text/x-diff")),
        "{}",
        mine.text()
    );
    let shipped = shop.page("/rules/tls_x509");
    let shipped = shop.fill(
        &shipped,
        "keys",
        &[("severity", "critical"), ("do", "patch")],
    );
    assert_eq!(shipped.status, 200, "{}", shipped.text());
    let tools: [(&str, &[&str]); 2] = [("patch", &["-p1"]), ("git", &["apply"])];
    for (tool, arguments) in tools {
        if program::find(tool).is_none() {
            continue;
        }
        let scratch = Scratch::new();
        scratch.write("mine.yaml", MINE);
        for (name, answer) in [("mine.patch", &mine), ("shipped.patch", &shipped)] {
            scratch.write(name, &answer.body);
            apply(tool, arguments, &scratch.path(""), name);
        }
        let patched = fs::read_to_string(scratch.path("mine.yaml")).expect("a file");
        let expected = MINE.replace("50 in 1h", "7 in 5m").replace(
            "  # by name\n",
            "  # by name\n    environments: [staging, production]\n",
        );
        assert_eq!(patched, expected, "{tool}");
        let new = fs::read_to_string(scratch.path("overrides.yaml")).expect("a file");
        assert_eq!(
            new, "rules:\n  - extends: tls_x509\n    severity: critical\n",
            "{tool}"
        );
    }
    assert_eq!(shop.names(), ["mine.yaml"]);
}

fn apply(tool: &str, arguments: &[&str], directory: &Path, patch: &str) {
    let patch = fs::File::open(directory.join(patch)).expect("a patch");
    let mut command = Command::new(tool);
    // As if there were no repository around: it is the text that counts.
    command.env(
        "GIT_CEILING_DIRECTORIES",
        directory.parent().expect("a parent"),
    );
    let ran = command
        .args(arguments)
        .current_dir(directory)
        .stdin(patch)
        .output();
    let ran = ran.expect("it runs");
    assert!(
        ran.status.success(),
        "{tool}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

#[test]
fn forms_need_no_script_and_the_token_of_their_page() {
    let shop = Shop::open(true);
    let page = shop.page("/rules/refused");
    let wrong = shop
        .fill(&page, "keys", &[("threshold", "often"), ("do", "check")])
        .text();
    assert!(
        wrong.contains("R013") && wrong.contains("value=\"often\""),
        "{wrong}"
    );
    let checked = shop
        .fill(&page, "keys", &[("threshold", "9 in 1h"), ("do", "check")])
        .text();
    assert!(
        checked.contains("+    threshold: 9 in 1h")
            && checked.contains("What may be done about findings of"),
        "{checked}"
    );
    assert_eq!(shop.file("mine.yaml"), MINE);
    let forged = shop.fill(
        &page,
        "keys",
        &[("threshold", "9 in 1h"), ("do", "save"), ("token", "0")],
    );
    assert_eq!(forged.status, 403, "{}", forged.text());
    assert_eq!(shop.file("mine.yaml"), MINE);
    let saved = shop
        .fill(&page, "keys", &[("threshold", "9 in 1h"), ("do", "save")])
        .text();
    assert!(saved.contains("Saved to"), "{saved}");
    assert_eq!(shop.file("mine.yaml"), MINE.replace("50 in 1h", "9 in 1h"));
    let stale = shop
        .fill(&page, "keys", &[("threshold", "8 in 1h"), ("do", "save")])
        .text();
    assert!(
        stale.contains("has been changed since this page was made"),
        "{stale}"
    );
    let page = shop.page("/rules/refused");
    let text = MINE.replace("50 in 1h", "6 in 1h").replace('\n', "\r\n");
    let saved = shop
        .fill(&page, "text", &[("text", &text), ("do", "save")])
        .text();
    assert!(saved.contains("Saved to"), "{saved}");
    assert_eq!(shop.file("mine.yaml"), MINE.replace("50 in 1h", "6 in 1h"));
    wait::until("the rule is in use", || {
        let (_, rule) = shop.ask("GET", "/api/v1/rules/refused", &json!({}));
        rule["rule"]["condition"]
            .as_str()
            .filter(|it| it.contains('6'))
            .map(str::to_owned)
    });
}

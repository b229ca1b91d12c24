//! The README's worked example, worked.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::http::Request;
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::trommel::{Setup, command};

#[test]
fn the_worked_example_gives_what_the_readme_shows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(path).expect("there is a README");
    let rules = between(&readme, "```yaml\n", "```");
    let shown: Value = serde_json::from_str(between(&readme, "```json\n", "```"))
        .expect("what the README shows is JSON");

    let scratch = Scratch::new();
    program::succeed(
        command()
            .arg("check")
            .arg(scratch.write("rules.yaml", rules)),
        "",
    );

    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970")
        .as_nanos()
        .to_string();
    // What the shell makes of curl's argument.
    let body = between(&readme, "-d '", "}'\n```").replace(r#"'"$(date +%s%N)"'"#, &now) + "}";
    let trommel = Setup::new(rules).start();
    let answer = trommel
        .push_client()
        .send(&Request::push_json(body.into_bytes()))
        .expect("an answer");
    assert_eq!(answer.status, 204, "{}", answer.text());
    let event = trommel.wait_for("the finding", |_| true);
    assert_within(&shown, &event.0, "");
}

/// The first piece of `text` between two others.
/// Whether what stands between the markers `name` in the README is `table`; with `UPDATE_EXPECT` it is made so.
fn check_table(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).expect("there is a README");
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let written = between(&readme, &open, &close);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let stale = format!("{open}{written}{close}");
        let readme = readme.replace(&stale, &format!("{open}{table}{close}"));
        std::fs::write(&path, readme).expect("the README can be written");
        return;
    }
    assert_eq!(
        written, table,
        "UPDATE_EXPECT=1 brings the README up to date"
    );
}

/// Both tables in one test: with `UPDATE_EXPECT` they write the same file.
#[test]
fn the_readme_lists_every_setting_and_every_metric() {
    let cell = |text: &str| text.replace('|', "\\|");
    let mut settings = "| key | variable | default | meaning |\n|---|---|---|---|\n".to_owned();
    for setting in trommel::config::settings() {
        let default = setting.default.as_deref();
        let default = default.map_or_else(String::new, |text| format!("`{}`", cell(text)));
        let (key, variable, doc) = (&setting.key, &setting.variable, cell(&setting.doc));
        settings += &format!("| `{key}` | `{variable}` | {default} | {doc} |\n");
    }
    check_table("settings", &settings);

    let mut metrics = "| metric | labels | meaning |\n|---|---|---|\n".to_owned();
    for metric in trommel::telemetry::METRICS {
        let labels = metric.labels.join(", ");
        metrics += &format!("| `{}` | {labels} | {} |\n", metric.name, metric.help);
    }
    check_table("metrics", &metrics);
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).expect("the README has it");
    rest.split_once(end).expect("the README ends it").0
}

/// Asserts that everything in `part` is in `whole` as well.
#[track_caller]
fn assert_within(part: &Value, whole: &Value, place: &str) {
    match part {
        Value::Object(fields) => {
            for (name, value) in fields {
                assert_within(value, &whole[name], &format!("{place}.{name}"));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                assert_within(item, &whole[index], &format!("{place}[{index}]"));
            }
        }
        leaf => assert_eq!(leaf, whole, "{place}"),
    }
}

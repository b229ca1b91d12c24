//! What `docs/operations.md`, `docs/security.md` and the pages around them state, held against what it is about: metrics, findings,
//! settings, constants, crates, commands and links.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use trommel::config::settings;
use trommel::rules::RuleSet;
use trommel::telemetry::METRICS;
use trommel::time::parse_duration;

use crate::support::incident::RULES;
use crate::support::page::{anchors, code, found, prose, read, root, table};
use crate::support::program;
use crate::support::trommel::{Setup, command};

#[test]
fn the_operations_page_explains_every_metric_and_no_other() {
    let rows = table("docs/operations.md", "metrics");
    let explained: Vec<_> = rows.iter().map(|row| code(&row[0])).collect();
    let there: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(explained, there);
}

#[test]
fn the_operations_page_has_a_section_for_every_finding_about_trommel_itself() {
    let page = read("docs/operations.md");
    for rule in &RuleSet::default().with_own().rules {
        assert!(
            page.contains(&format!("\n### {}\n", rule.id)),
            "{}",
            rule.id
        );
    }
}

#[test]
fn the_operations_page_has_every_limit_with_its_default_and_a_counter_that_exists() {
    let rows = table("docs/operations.md", "limits");
    let settings = settings();
    for row in &rows {
        let (key, default) = (code(&row[0]), code(&row[1]));
        let setting = settings.iter().find(|setting| setting.key == key);
        let setting = setting.unwrap_or_else(|| panic!("{key} is no setting"));
        assert_eq!(setting.default.as_deref(), Some(default), "{key}");
        let mut counters = found("`([^`]*)`", &row[3]);
        assert!(!counters.is_empty(), "{key}: nothing counts it");
        counters.retain(|name| METRICS.iter().all(|metric| metric.name != name));
        assert!(counters.is_empty(), "{key}: no metric: {counters:?}");
    }
    for setting in settings {
        let is_limit = setting.key.starts_with("limits.") || setting.key.ends_with("_max");
        let is_there = rows.iter().any(|row| code(&row[0]) == setting.key);
        assert!(is_there || !is_limit, "{} is missing", setting.key);
    }
}

#[test]
fn the_operations_page_names_the_schema_and_the_syncing_that_are_in_use() {
    let (page, source) = (read("docs/operations.md"), read("src/record/file.rs"));
    let schema = found("const SCHEMA_VERSION: u32 = ([0-9]+);", &source);
    let told = found("`PRAGMA user_version`, now ([0-9]+)\\)", &page);
    assert_eq!(told, schema);
    let mode = found(r#""synchronous", "([A-Z]+)""#, &source);
    let told = found("runs in WAL mode with `synchronous=([A-Z]+)`", &page);
    assert_eq!(told, mode);
}

#[test]
fn the_security_page_has_bounds_as_the_source_has_them() {
    for row in table("docs/security.md", "bounds") {
        let [of, most, _, constant, file] = &row[..] else {
            panic!("a row with other columns: {row:?}");
        };
        let (constant, file) = (code(constant), code(file));
        let declared = format!(r"const {constant}: [A-Za-z0-9]+ =\s*([^;]+);");
        let declared = found(&declared, &read(file));
        let [expression] = &declared[..] else {
            panic!("{file} has {} constants {constant}", declared.len());
        };
        assert_eq!(
            Some(amount(most)),
            number(expression),
            "{of}: {most} is not {expression} of {file}"
        );
    }
}

#[test]
fn the_security_page_gives_a_reason_for_every_direct_dependency() {
    let manifest = read("Cargo.toml");
    let there: BTreeSet<_> = section(&manifest, "[dependencies]")
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.to_owned())
        .collect();
    let rows = table("docs/security.md", "dependencies");
    let explained: BTreeSet<_> = rows.iter().map(|row| code(&row[0]).to_owned()).collect();
    assert_eq!(explained, there);
}

#[test]
fn no_package_of_the_workspace_may_hold_unsafe_code() {
    let manifest = read("Cargo.toml");
    let members =
        section(&manifest, "[workspace]").find_map(|line| line.strip_prefix("members = "));
    let members = found(r#""([^"]+)""#, members.expect("there are members"));
    assert!(!members.is_empty());
    let manifests = members.iter().map(|member| format!("{member}/Cargo.toml"));
    for path in manifests.chain(["Cargo.toml".to_owned()]) {
        let text = read(&path);
        let forbids =
            section(&text, "[lints.rust]").any(|line| line == r#"unsafe_code = "forbid""#);
        assert!(forbids, "{path}");
    }
}

#[test]
fn names_on_the_pages_are_metrics_or_findings_with_a_section() {
    let sections = anchors(&read("docs/operations.md"));
    for page in [
        "docs/operations.md",
        "docs/security.md",
        "docs/reload.md",
        "docs/access.md",
    ] {
        for name in found("`(trommel_[a-z_]+)[`{]", &prose(&read(page))) {
            let is_metric = METRICS.iter().any(|metric| metric.name == name);
            assert!(is_metric || sections.contains(&name), "{page}: {name}");
        }
    }
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let root = root();
    let mut pages: Vec<PathBuf> = fs::read_dir(root.join("docs"))
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        // Folders hold what pages show.
        .filter(|path| path.is_file())
        .collect();
    pages.extend(
        [
            "README.md",
            "SECURITY.md",
            "CONTRIBUTING.md",
            "CHANGELOG.md",
            "alloy/README.md",
            "deploy/compose/README.md",
            "examples/README.md",
        ]
        .map(|name| root.join(name)),
    );
    let mut broken = Vec::new();
    let mut links = 0;
    for page in pages {
        let text = fs::read_to_string(&page).expect("a page is text");
        for link in found(r"\]\(([A-Za-z0-9_./#-]+)\)", &prose(&text)) {
            links += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().expect("in a folder").join(path),
            };
            let leads = target.exists()
                && (anchor.is_empty()
                    || anchors(&fs::read_to_string(&target).expect("a page")).contains(anchor));
            if !leads {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(links > 50, "{links}");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_command_of_the_pages_exists() {
    let trommel = Setup::new(RULES).start();
    let paths = trommel.admin("/").text();
    let mut wrong = Vec::new();
    let mut commands = 0;
    for page in ["docs/operations.md", "docs/security.md", "SECURITY.md"] {
        let text = read(page);
        let blocks = found(r"(?s)```sh\n(.*?)```", &text);
        let lines = blocks.iter().flat_map(|block| block.lines());
        let inline = found("`((?:trommel |scripts/)[^`]*)`", &prose(&text));
        for line in lines.map(str::to_owned).chain(inline) {
            let line = line.split("   #").next().unwrap_or_default().trim();
            commands += 1;
            if let Err(why) = exists(line, &paths) {
                wrong.push(format!("{page}: `{line}`: {why}"));
            }
        }
    }
    assert!(commands > 15, "{commands}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a command line can be run: its program is known, with its subcommand, its flags, or the path that it asks for.
fn exists(line: &str, admin_paths: &str) -> Result<(), String> {
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        ["trommel", flag] if flag.starts_with('-') => {
            let help = program::succeed(command().arg("--help"), "");
            help.contains(flag)
                .then_some(())
                .ok_or("no such flag".to_owned())
        }
        ["trommel", subcommand, ref arguments @ ..] => {
            let output = program::run(command().args([subcommand, "--help"]), "");
            let help = String::from_utf8_lossy(&output.stdout).into_owned();
            if !output.status.success() {
                return Err("no such subcommand".to_owned());
            }
            let missing = arguments.iter().find(|word| {
                word.starts_with("--")
                    && !help.contains(&format!("{word} "))
                    && !help.contains(&format!("{word}\n"))
            });
            missing.map_or(Ok(()), |flag| Err(format!("no flag {flag}")))
        }
        ["curl", ..] => {
            let asked = found(r"http://127\.0\.0\.1:3102(/[a-z0-9/_-]*)", line);
            let [path] = &asked[..] else {
                return Err("asks nothing of the admin port".to_owned());
            };
            admin_paths
                .contains(path.as_str())
                .then_some(())
                .ok_or(format!("no path {path}"))
        }
        [script, ref arguments @ ..] if script.starts_with("scripts/") => {
            let text =
                fs::read_to_string(root().join(script)).map_err(|error| error.to_string())?;
            let missing = arguments
                .iter()
                .find(|word| word.starts_with("--") && !text.contains(*word));
            missing.map_or(Ok(()), |flag| Err(format!("no flag {flag}")))
        }
        ["cargo" | "sqlite3", ..] => Ok(()),
        _ => Err("nobody knows whether it exists".to_owned()),
    }
}

/// The lines of a section of a manifest.
fn section<'a>(manifest: &'a str, head: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = manifest
        .lines()
        .skip_while(move |line| *line != head)
        .skip(1);
    lines.take_while(|line| !line.starts_with('['))
}

/// What the page says: `20 000`, `128 MiB`, `10m`; bytes, or milliseconds.
fn amount(text: &str) -> u128 {
    let digits = |text: &str| text.replace(' ', "").parse::<u128>();
    let unit = |end: &str, bits: u32| {
        text.strip_suffix(end)
            .map(|rest| digits(rest).expect("a number") << bits)
    };
    unit("KiB", 10)
        .or_else(|| unit("MiB", 20))
        .or_else(|| digits(text).ok())
        .or_else(|| {
            parse_duration(text)
                .ok()
                .map(|span: Duration| span.as_millis())
        })
        .unwrap_or_else(|| panic!("`{text}` is no amount"))
}

/// What the source says: `5_000`, `128 << 20`, `32 * 1024`, `Duration::from_secs(600)`.
fn number(expression: &str) -> Option<u128> {
    let plain = |text: &str| text.trim().replace('_', "").parse::<u128>().ok();
    let within = |head: &str| {
        expression
            .strip_prefix(head)
            .and_then(|rest| rest.strip_suffix(')'))
    };
    if let Some((left, right)) = expression.split_once("<<") {
        Some(plain(left)? << plain(right)?)
    } else if let Some((left, right)) = expression.split_once('*') {
        Some(plain(left)? * plain(right)?)
    } else if let Some(seconds) = within("Duration::from_secs(") {
        Some(plain(seconds)? * 1000)
    } else {
        plain(expression)
    }
}

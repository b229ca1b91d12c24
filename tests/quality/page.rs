//! `docs/rule-pack.md`: every rule with what it means, a line that it matches, a finding that it makes, and what to change.
//!
//! The page is written from the rules, and its findings come of the rules' own tests. `UPDATE_EXPECT=1` rewrites it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use trommel::finding::Finding;
use trommel::rule_test::Suite;
use trommel::rules::test_file::{MessageState, Test};
use trommel::rules::{
    Condition, EscalateWhen, LoadOptions, Loaded, Recover, Rule, RuleSet, SourceText, Taxonomy,
    builtin, load, read_paths, read_test_paths,
};
use trommel::scan::Scanner;
use trommel::time::format_duration;

use crate::pack;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rule-pack.md");

const INTRODUCTION: &str = include_str!("page.md");
/// Where the list of rules goes in it.
const LIST: &str = "<!-- rules -->\n";

/// Other rules than those that ship may be measured; the page is about those that do.
fn is_shipped() -> bool {
    std::env::var_os("TROMMEL_QUALITY_RULES").is_none()
}

#[test]
fn the_page_about_the_pack_is_what_its_rules_say() {
    let (page, faults) = page();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    if !is_shipped() {
        println!("{page}");
    } else if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(PAGE, page).expect("the page can be written");
    } else {
        let written = fs::read_to_string(PAGE).unwrap_or_default();
        assert!(written == page, "UPDATE_EXPECT=1 brings {PAGE} up to date");
    }
}

/// What to copy and change leaves the rule as it is until something is changed.
#[test]
fn the_keys_that_are_shown_are_those_of_the_rule() {
    if !is_shipped() {
        println!("only the rules that ship can be extended: skipped");
        return;
    }
    let shipped = load(&builtin(), &LoadOptions::default());
    let rules = shipped.set.expect("they are fine").rules;
    let mut sources = builtin();
    sources.push(SourceText {
        name: "own.yaml".to_owned(),
        text: format!(
            "rules:\n{}",
            rules.iter().map(|rule| keys(rule)).collect::<String>()
        ),
    });
    let extended = load(&sources, &LoadOptions::default());
    let Some(set) = extended.set else {
        panic!("{:#?}", extended.problems);
    };
    for rule in &rules {
        let (_, extended) = set.find(&rule.id).expect("it has the id");
        assert_eq!(extended.source.file, "own.yaml", "{}", rule.id);
        assert_eq!(extended.meaning, rule.meaning, "{}", rule.id);
        assert_eq!(extended.severity, rule.severity, "{}", rule.id);
        assert_eq!(described(extended), described(rule), "{}", rule.id);
    }
}

/// The page, and what the rules lack for it.
fn page() -> (String, Vec<String>) {
    let Loaded { set, taxonomy, .. } = load(&pack::sources(), &LoadOptions::default());
    let set = Arc::new(set.expect("the rules are fine"));
    let rules = &set.rules;
    let scanner = Arc::new(Scanner::new(alone(&set)));
    let mut findings = findings();
    let mut faults = Vec::new();
    let mut by_domain: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
    for rule in rules {
        by_domain.entry(&rule.domain).or_default().push(rule);
    }
    let mut list = String::new();
    let mut text = String::new();
    for (domain, rules) in &by_domain {
        let title = title(&taxonomy, domain);
        let anchor = title.to_lowercase().replace(' ', "-");
        writeln!(list, "| **[{title}](#{anchor})** | | |").expect("a String");
        write!(text, "\n## {title}\n").expect("a String");
        for rule in rules {
            let name = rule.name.as_deref().unwrap_or(&rule.id);
            let Rule {
                id,
                severity,
                condition,
                ..
            } = rule;
            writeln!(
                list,
                "| [`{id}`](#{id}) | {name} | {severity}: {condition} |"
            )
            .expect("a String");
            let finding = findings.remove(id);
            let finding = finding.or_else(|| of_its_lines(rule, &scanner));
            text += &section(rule, finding, &whole(&set, rule), &mut faults);
        }
    }
    let heading = "| rule | finds | severity, and opens at |\n|---|---|---|\n";
    let (before, after) = INTRODUCTION.split_once(LIST).expect("its place");
    (format!("{before}{heading}{list}{after}{text}"), faults)
}

fn title<'a>(taxonomy: &'a Taxonomy, domain: &'a str) -> &'a str {
    let known = taxonomy.domains.get(domain);
    known
        .and_then(|known| known.display_name.as_deref())
        .unwrap_or(domain)
}

/// The rules on findings of which `rule` is a part.
fn whole<'a>(set: &'a RuleSet, rule: &Rule) -> Vec<&'a str> {
    let is_part = |whole: &&Arc<Rule>| match &whole.condition {
        Condition::Correlate(correlate) => {
            let mut parts = correlate
                .all
                .iter()
                .chain(&correlate.any)
                .chain(&correlate.none);
            parts.any(|part| [&*rule.id, &*rule.incident_type].contains(&part.as_str()))
        }
        _ => false,
    };
    set.rules
        .iter()
        .filter(is_part)
        .map(|whole| &*whole.id)
        .collect()
}

fn section(
    rule: &Rule,
    finding: Option<Finding>,
    whole: &[&str],
    faults: &mut Vec<String>,
) -> String {
    let Rule { id, .. } = rule;
    let mut lacks = |what: &str| {
        faults.push(format!("{id} has no {what}"));
        ""
    };
    let name = rule.name.as_deref().unwrap_or_else(|| lacks("name"));
    let description = rule.description.as_deref();
    let description = description.unwrap_or_else(|| lacks("description"));
    let mut text = format!("\n### {id}\n\n**{name}.** {}\n\n", description.trim_end());
    for fact in described(rule) {
        writeln!(text, "- {fact}").expect("a String");
    }
    // A rule on findings reads no lines.
    if !rule.parts().is_empty() {
        let line = rule.catches.first().map(|line| line.trim_end());
        let line = line.unwrap_or_else(|| lacks("line that it catches"));
        write!(text, "\n```text\n{line}\n```\n").expect("a String");
    }
    match finding {
        Some(finding) => {
            write!(text, "\n```json\n{}\n```\n", essential(&finding)).expect("a String");
        }
        // Some rules are there for others only, which tell what they find.
        None if !whole.is_empty() => {
            let whole = whole.join("`, `");
            write!(text, "\nWhat it finds is told as a part of `{whole}`.\n").expect("a String");
        }
        None => {
            lacks("finding, neither in a test nor of the lines that it catches");
        }
    }
    let keys = keys(rule);
    write!(text, "\n```yaml rules\n# {id}.yaml\nrules:\n{keys}```\n").expect("a String");
    text
}

/// When it opens, for what, how bad it is, and when it is over.
fn described(rule: &Rule) -> Vec<String> {
    let Rule {
        condition,
        by,
        severity,
        ..
    } = rule;
    let hold = format_duration(rule.hold);
    let held = if rule.hold.is_zero() {
        String::new()
    } else {
        format!(", for {hold}")
    };
    let of_each = match &by[..] {
        [] => "one finding for all".to_owned(),
        by => format!("one finding for each `{}`", by.join("`, `")),
    };
    let mut bad = vec![severity.to_string()];
    for escalation in &rule.escalate {
        let when = match &escalation.when {
            EscalateWhen::After(after) => format!("after {}", format_duration(*after)),
            EscalateWhen::Count(threshold) => format!("at {threshold}"),
            EscalateWhen::Distinct(distinct) => {
                format!("at {}", Condition::Distinct(distinct.clone()))
            }
            EscalateWhen::Match(_) => "when a line of it says so".to_owned(),
        };
        bad.push(format!("{} {when}", escalation.to));
    }
    let over = match &rule.recover {
        Recover::Quiet(after) => format!("after {} of quiet", format_duration(*after)),
        Recover::Match {
            after: Some(after), ..
        } => {
            format!(
                "when a line says so, or after {} of quiet",
                format_duration(*after)
            )
        }
        Recover::Match { after: None, .. } => "when a line says so".to_owned(),
        Recover::Never => "never: it tells of something that has happened".to_owned(),
        Recover::Condition => "when its condition no longer holds".to_owned(),
    };
    vec![
        format!("opens at {condition}{held}, {of_each}"),
        format!(
            "severity: {}; confidence: {:?}",
            bad.join(", "),
            rule.confidence
        )
        .to_lowercase(),
        format!("over {over}"),
        format!("incident type: `{}`", rule.incident_type),
    ]
}

/// What of a rule is most likely to be changed, as a rule that extends it and changes nothing.
fn keys(rule: &Rule) -> String {
    let mut text = format!("  - extends: {}\n", rule.id);
    let condition = rule.condition.to_string();
    let threshold = match &rule.condition {
        Condition::Count(_) => condition != "every match",
        Condition::Distinct(_) | Condition::Ratio(_) | Condition::Spike(_) => true,
        _ => false,
    };
    if threshold {
        writeln!(text, "    threshold: '{condition}'").expect("a String");
    }
    if !rule.by.is_empty() {
        writeln!(text, "    by: [{}]", rule.by.join(", ")).expect("a String");
    }
    writeln!(text, "    severity: {}", rule.severity).expect("a String");
    if let Recover::Quiet(after) = &rule.recover {
        writeln!(text, "    recover: {}", format_duration(*after)).expect("a String");
    }
    text
}

/// The first finding of each rule in the tests of the pack.
fn findings() -> BTreeMap<String, Finding> {
    let folder = pack::folder();
    let read = read_test_paths(std::slice::from_ref(&folder));
    let mut findings = BTreeMap::new();
    for source in read.sources {
        let name = source.name.clone();
        let suite = Suite::load(source, Vec::new(), |path| read_paths(&[folder.join(path)]));
        assert!(!suite.is_wrong(), "{name}: {:#?}", suite.problems);
        for test in suite.tests() {
            suite.run(test, |ran, _| {
                let observed = ran.messages.iter();
                for told in observed.filter(|told| told.state == MessageState::Observed) {
                    let id = told.finding.rule.id.clone();
                    findings.entry(id).or_insert_with(|| told.finding.clone());
                }
            });
        }
    }
    findings
}

/// The rules without those on findings, which may hide what their parts find.
fn alone(set: &RuleSet) -> Arc<RuleSet> {
    let reads = |rule: &&Arc<Rule>| !matches!(rule.condition, Condition::Correlate(_));
    Arc::new(RuleSet {
        rules: set.rules.iter().filter(reads).cloned().collect(),
        hash: set.hash.clone(),
        ..RuleSet::default()
    })
}

/// The finding that the lines which `rule` catches make when they come over and over, a second apart.
fn of_its_lines(rule: &Rule, scanner: &Arc<Scanner>) -> Option<Finding> {
    const LINES: u64 = 300;
    let labels = [
        ("cluster", "demo"),
        ("namespace", "shop"),
        ("pod", "api-6b7f9c8d5-x2x4z"),
        ("node", "worker-a"),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let stream = pack::stream(labels);
    let lines = rule.catches.iter().cycle();
    let times = (0..LINES).map(|n| Test::START.plus(Duration::from_secs(n)));
    let entries = times
        .zip(lines)
        .map(|(at, line)| (&stream, at, line.as_bytes()));
    let mut opened = pack::opened(scanner, entries).into_iter();
    opened.find(|finding| finding.rule.id == rule.id)
}

/// The fields of a finding that tell most.
fn essential(finding: &Finding) -> String {
    let mut shown = json!({
        "summary": finding.summary,
        "severity": finding.severity,
        "incident_type": finding.incident_type,
        "dedupe_key": finding.dedupe_key,
        "counts": {"window": finding.counts.window, "total": finding.counts.total},
    });
    if let Some(line) = finding.evidence.lines.first() {
        shown["evidence"] = json!({"lines": [{"line": line.line.trim_end()}]});
    }
    if !finding.logs.logql.is_empty() {
        shown["logs"] = json!({"logql": cut(&finding.logs.logql)});
    }
    let related = finding.related.iter();
    let related: Vec<_> = related
        .map(|part| json!({"rule": part.rule, "relation": part.relation}))
        .collect();
    if !related.is_empty() {
        shown["related"] = related.into();
    }
    serde_json::to_string_pretty(&shown).expect("texts and numbers")
}

/// A query of many items is longer than anybody reads.
fn cut(text: &str) -> String {
    const CHARS_MAX: usize = 160;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

//! One rule: what it finds, what is written of it, what its examples say, and what has come of it.

use maud::{Markup, html};

use super::change::{self, Answered};
use super::parts::{notes, notice, severity, table, time};
use super::{Shown, layout};
use crate::rules::WhyOff;
use crate::rules::edit::{TokenKind, meaning_of};
use crate::web::Admin;
use crate::web::api::rule::{Caught, ExampleResult, RuleDetail, Written};
use crate::web::assets::RULE_SCRIPT;
use crate::web::visitor::Visitor;
use crate::workshop::TestsOfRule;

/// What has come of a rule.
pub(super) struct Found {
    /// Open findings, the newest first.
    pub(super) open: Vec<Shown>,
    /// Some that are over.
    pub(super) over: Vec<Shown>,
}

pub(super) fn page(
    admin: &Admin,
    visitor: &Visitor,
    detail: &RuleDetail,
    found: &Found,
    tests: Option<&TestsOfRule>,
    answered: Option<&Answered>,
) -> Markup {
    let rules = admin.rules.borrow().clone();
    let rule = rules.find(&detail.id).map(|(_, rule)| rule);
    let off = rules.off.iter().find(|off| off.rule.id == detail.id);
    let why_off = match off.map(|off| (off.why, &off.rule.environments)) {
        Some((WhyOff::Elsewhere, environments)) => format!(
            "This rule is off here: it is for {}.",
            environments.join(", ")
        ),
        Some((WhyOff::Disabled, _)) => "This rule is off here: it is switched off.".to_owned(),
        None => {
            "This rule is off here: it is in a file that is refused, or not read yet.".to_owned()
        }
    };
    let warnings = rules.warnings_of(&detail.id);
    let name = rule.and_then(|rule| rule.name.clone());
    let content = html! {
        p .aside { a href="/rules" { "Rules" } " / " code { (detail.id) } }
        h1 { (name.as_deref().unwrap_or(&detail.id)) }
        @match rule {
            Some(rule) => {
                p .lead { (severity(rule.severity)) " · " (rule.condition) }
                @if let Some(description) = &rule.description { p .description { (description) } }
            }
            None => (notice(&why_off)),
        }
        (change::result(answered))
        (notes(&warnings))
        @if let Some(rule) = rule {
            dl {
                dt { "Id" } dd { code { (rule.id) } }
                dt { "Class" } dd { (rule.condition.class()) }
                dt { "One finding for each" } dd { @if rule.by.is_empty() { "rule: there is one at a time" } @else { (rule.by.join(", ")) } }
                dt { "Kind" } dd { (rule.domain) " · " (rule.incident_type) }
                @if let Some(owner) = &rule.owner { dt { "Owner" } dd { (owner) } }
                @if let Some(written) = &detail.written {
                    @let environments = written.keys.iter().find(|key| key.key == "environments");
                    dt { "Environments" } dd { (environments.map_or("everywhere", |key| &key.value)) }
                    dt { "Written at" } dd { code { (written.file) ":" (written.line) } @if written.ships { " (ships with trommel)" } }
                }
                @if admin.unselected.borrow().contains(&rule.id) { dt { "Streams" } dd { "none for a day" } }
            }
        }
        @match &detail.written {
            Some(written) => (listing("As it is written", written)),
            None => { p { "Trommel finds this about itself; it is in no file." } }
        }
        @if let Some(extended) = &detail.extends { (listing("The rule that it extends", extended)) }
        @if let Some(written) = &detail.written { (meanings(written)) }
        (examples(&detail.examples))
        @if detail.written.is_some() { (tests_section(tests)) }
        (findings(&detail.id, found))
        (caught(&detail.id, detail.caught.as_deref()))
        @if let Some(written) = &detail.written { (change::forms(visitor, detail, written, answered)) }
        script src=(RULE_SCRIPT.path()) defer {}
    };
    layout::page(admin, &detail.id, Some("/rules"), &content)
}

/// Where the meaning of a key is, on the same page.
fn anchor(key: &str) -> String {
    format!("key-{key}")
}

fn listing(title: &str, written: &Written) -> Markup {
    html! {
        section {
            h2 { (title) }
            pre .yaml tabindex="0" aria-label=(title) {
                code {
                    @for token in &written.tokens {
                        @let text = &written.text[token.span.clone()];
                        @match token.kind {
                            TokenKind::Key => @match meaning_of(text) {
                                Some(meaning) => { a .key href={ "#" (anchor(text)) } title=(meaning) { (text) } }
                                None => { span .key { (text) } }
                            },
                            TokenKind::Text => { span .value { (text) } }
                            TokenKind::Comment => { span .comment { (text) } }
                            TokenKind::Other => { (text) }
                        }
                    }
                }
            }
        }
    }
}

fn meanings(written: &Written) -> Markup {
    html! {
        section {
            h2 { "What its keys mean" }
            dl {
                @for key in &written.keys {
                    dt #(anchor(&key.key)) tabindex="-1" { code { (key.key) } }
                    dd { (key.meaning) }
                }
            }
        }
    }
}

fn examples(examples: &[ExampleResult]) -> Markup {
    let failed = examples.iter().filter(|example| !example.passed).count();
    html! {
        section {
            h2 { "Examples" }
            @if examples.is_empty() { p .aside { "It has none: nobody would notice if it never spoke." } }
            @else if failed == 0 { p .aside { "All are treated as they should be, tried just now." } }
            ul .results {
                @for example in examples {
                    li {
                        (verdict(example.passed)) " "
                        @if example.must_match { "catches " } @else { "lets pass " }
                        code { (example.line) }
                    }
                }
            }
        }
    }
}

fn verdict(passed: bool) -> Markup {
    html! {
        @if passed { span .passed { "✓ as it should" } } @else { span .failed { "✗ not so" } }
    }
}

fn tests_section(tests: Option<&TestsOfRule>) -> Markup {
    html! {
        section #tests {
            h2 { "Tests" }
            @match tests {
                None => { form method="get" action="#tests" { button name="tests" value="run" { "Run the tests that name it" } } }
                Some(found) => {
                    @if found.tests.is_empty() && found.broken.is_empty() { p .aside { "No test file beside the rules names it." } }
                    ul .results {
                        @for test in &found.tests {
                            li {
                                (verdict(test.passed)) " " (test.name) " " span .aside { (test.file) ":" (test.line) }
                                @if !test.passed { pre tabindex="0" { code { (test.difference.join("\n")) } } }
                            }
                        }
                        @for broken in &found.broken { li { span .failed { "✗ could not run" } " " (broken) } }
                    }
                    @if found.cut { p .aside { "There are more; `trommel test` runs them all." } }
                }
            }
        }
    }
}

fn caught(id: &str, lines: Option<&[Caught]>) -> Markup {
    html! {
        section {
            h2 { "What it caught lately" }
            @match lines {
                None => (notice("The database is busy: what was matched is not shown.")),
                Some([]) => { p .aside { "Nothing is recorded." } }
                Some(lines) => {
                    @for line in lines {
                        figure .line {
                            figcaption {
                                (time(line.time))
                                @for (name, value) in &line.labels { span .label { (name) "=" (value) } }
                            }
                            pre tabindex="0" { code { (line.line) } }
                        }
                    }
                }
            }
            p { a href={ "/try?rule=" (id) } { "Try a change of it on what it caught" } }
        }
    }
}

fn findings(id: &str, found: &Found) -> Markup {
    html! {
        section {
            h2 { "Findings" }
            @if found.open.is_empty() && found.over.is_empty() { p .aside { "None are known." } }
            @if !found.open.is_empty() { (table("Open findings of this rule", &found.open)) }
            @if !found.over.is_empty() {
                h3 { "Over" }
                (table("Findings of this rule that are over", &found.over))
            }
            p { a href={ "/findings?rule=" (id) } { "All of its findings" } }
        }
    }
}

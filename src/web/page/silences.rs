//! What is silent, and how to make it so.

use maud::{Markup, html};

use super::SILENCES;
use super::layout;
use super::parts::{plain, query, rule as link, text, time};
use crate::finding::Finding;
use crate::silence::{Only, Scope, Silence};
use crate::time::Timestamp;
use crate::web::Admin;
use crate::web::visitor::{TOKEN, Visitor};

/// How long something may be silent, as a form offers it.
const LASTS: [(&str, &str); 7] = [
    ("30m", "30 minutes"),
    ("1h", "an hour"),
    ("4h", "4 hours"),
    ("12h", "12 hours"),
    ("1d", "a day"),
    ("7d", "a week"),
    ("30d", "30 days"),
];

/// All silences, and a form for another; `rule` is what it begins with.
pub(super) fn page(
    admin: &Admin,
    visitor: &Visitor,
    silences: &[Silence],
    rule: Option<&str>,
) -> Markup {
    let now = (admin.clock)();
    let (active, ended): (Vec<&Silence>, Vec<&Silence>) =
        silences.iter().partition(|it| it.until > now);
    let content = html! {
        h1 { "Silences" }
        p .lead { "What matches goes on being counted; its messages are held back. What is still open when a silence ends is told once." }
        @if active.is_empty() { p .aside { "Nothing is silent." } }
        @else { (table("Silences that go on", &active, Some(visitor))) }
        section {
            h2 { "Silence a rule" }
            @match visitor.may_change() {
                Err(refusal) => { p .aside { (refusal.why) } }
                Ok(()) => {
                    form .filters method="post" action=(SILENCES) {
                        (token(visitor))
                        label { "Rule" input name="rule" required list="rules" value=[rule]; }
                        datalist #rules { @for rule in &admin.rules.borrow().rules { option value=(rule.id) {} } }
                        label { "Only where" input name="matchers" placeholder="namespace=\"shop\""; }
                        (how_long())
                        button { "Silence" }
                    }
                }
            }
        }
        @if !ended.is_empty() {
            section { h2 { "Ended in the last day" } (table("Silences that have ended", &ended, None)) }
        }
    };
    layout::page(admin, "Silences", Some(SILENCES), &content)
}

fn table(caption: &str, silences: &[&Silence], visitor: Option<&Visitor>) -> Markup {
    let visitor = visitor.filter(|visitor| visitor.may_change().is_ok());
    html! {
        div .scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption .visually-hidden { (caption) }
                thead { tr { th scope="col" { "What" } th scope="col" { "Until" } th scope="col" { "Why" } th scope="col" { "Who" } @if visitor.is_some() { th scope="col" { "End" } } } }
                tbody {
                    @for silence in silences {
                        tr #(silence.id) {
                            td .what { (about(&silence.scope)) div .aside { "since " (time(silence.from)) } }
                            td { (time(silence.until)) }
                            td .what { (text(&silence.reason)) }
                            td { (text(&silence.who)) @if let Some(who) = &silence.ended_by { div .aside { "ended by " (text(who)) } } }
                            @if let Some(visitor) = visitor {
                                td {
                                    form method="post" action={ (SILENCES) "/" (silence.id) "/end" } { (token(visitor)) button aria-label={ "End the silence of " (plain(&silence.scope.to_string())) } { "End" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn about(scope: &Scope) -> Markup {
    html! {
        (link(&scope.rule))
        @match &scope.only {
            None => {}
            Some(Only::Matchers(matchers)) => { " where " code { (text(matchers)) } }
            Some(Only::Key(key)) => { ", key " code { (text(&key.dedupe_key)) } }
        }
    }
}

/// On the page of a finding: what holds it back, and how to.
pub(super) fn of_finding(
    visitor: &Visitor,
    finding: &Finding,
    silences: &[Silence],
    now: Timestamp,
) -> Markup {
    let about_it = |silence: &&Silence| silence.is_on(now) && concerns(&silence.scope, finding);
    let silences: Vec<&Silence> = silences.iter().filter(about_it).collect();
    html! {
        section #silence {
            h2 { "Silence" }
            @for silence in silences {
                p .notice { "Nothing is said of it until " (time(silence.until)) ", by " (text(&silence.who)) ": " (text(&silence.reason)) " " a href={ (SILENCES) "#" (silence.id) } { "Silences" } }
            }
            @if let Err(refusal) = visitor.may_change() { p .aside { (refusal.why) } }
            @else {
                form .filters method="post" action=(SILENCES) {
                    (token(visitor))
                    input type="hidden" name="finding" value=(finding.finding_id);
                    (how_long())
                    button { "Silence this" }
                }
                p .aside { "It and those after it, of the same rule and key: " code { (text(&finding.dedupe_key)) } "." }
                p .aside { a href={ (SILENCES) "?" (query("rule", &finding.rule.id)) } { "Silence all of its rule" } }
            }
        }
    }
}

fn concerns(scope: &Scope, finding: &Finding) -> bool {
    let Finding {
        rule,
        finding_key,
        resource_scope,
        ..
    } = finding;
    let concerns = |selector| scope.concerns(&selector, &rule.id, finding_key, resource_scope);
    scope.selector().is_ok_and(concerns)
}

fn token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(visitor.token()); }
}

fn how_long() -> Markup {
    html! {
        label { "For" select name="duration" {
            @for (value, words) in LASTS { option value=(value) selected[value == "4h"] { (words) } }
        } }
        label { "Why" input name="reason" required maxlength="2000"; }
    }
}

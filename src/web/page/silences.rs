//! What is silent, and how to make it so.

use maud::{Markup, html};

use super::layout;
use super::parts::{query, time};
use super::{FINDING, SILENCES};
use crate::finding::Finding;
use crate::silence::{Scope, Silence};
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
                            td .what { (silence.reason) }
                            td { (silence.who) @if let Some(who) = &silence.ended_by { div .aside { "ended by " (who) } } }
                            @if let Some(visitor) = visitor {
                                td {
                                    form method="post" action={ (SILENCES) "/" (silence.id) "/end" } { (token(visitor)) button aria-label={ "End the silence of " (silence.scope) } { "End" } }
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
        @if let Some(finding) = &scope.finding { a href={ (FINDING) (finding) } { "finding " code { (finding) } } }
        @if let Some(rule) = &scope.rule { code { (rule) } }
        @if let Some(matchers) = &scope.matchers { " " code { (matchers) } }
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
                p .notice { "Nothing is said of it until " (time(silence.until)) ", by " (silence.who) ": " (silence.reason) " " a href={ (SILENCES) "#" (silence.id) } { "Silences" } }
            }
            @if finding.recovered_at.is_some() { p .aside { "It is over." } }
            @else if let Err(refusal) = visitor.may_change() { p .aside { (refusal.why) } }
            @else {
                form .filters method="post" action=(SILENCES) {
                    (token(visitor))
                    input type="hidden" name="finding" value=(finding.finding_id);
                    (how_long())
                    button { "Silence this finding" }
                }
                p .aside { a href={ (SILENCES) "?" (query("rule", &finding.rule.id)) } { "Silence its rule" } }
            }
        }
    }
}

fn concerns(scope: &Scope, finding: &Finding) -> bool {
    match &scope.finding {
        Some(id) => *id == finding.finding_id,
        None => {
            scope.rule.as_deref() == Some(&*finding.rule.id)
                && scope.selector().is_ok_and(|selector| {
                    selector.0.iter().all(|matcher| {
                        let value = finding.resource_scope.get(&matcher.name);
                        matcher.test.accepts(value.map_or("", String::as_str))
                    })
                })
        }
    }
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

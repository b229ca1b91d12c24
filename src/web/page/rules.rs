//! The rules: what each finds and where, what it has done lately, what it costs, and what is probably not meant so.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::num::NonZeroU16;

use maud::{Markup, html};
use serde::Deserialize;

use super::layout;
use super::parts::{notes, notice, seconds, severity, text, time};
use crate::rules::{Problem, Rule, WhyOff};
use crate::web::Admin;
use crate::web::api::RuleActivity;

/// Rules that a page shows at once: all that ship, and no more than a browser paints at once.
const SHOWN_MAX: usize = 60;

/// How the list is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RulesQuery {
    /// What comes first.
    sort: Option<Sort>,
    /// Only those that have this text in id, name, owner, tags or condition, in either case.
    text: Option<String>,
    /// Which page, from 1.
    page: Option<NonZeroU16>,
}

/// What the list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    #[default]
    Id,
    Severity,
    Matches,
    Findings,
    Open,
    Last,
    Cost,
    Time,
    Warnings,
}

impl Sort {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Severity => "severity",
            Self::Matches => "matches",
            Self::Findings => "findings",
            Self::Open => "open",
            Self::Last => "last",
            Self::Cost => "cost",
            Self::Time => "time",
            Self::Warnings => "warnings",
        }
    }
}

/// A rule with what is known of it.
struct Row<'r> {
    rule: &'r Rule,
    /// Why it is off; nothing where it is on.
    off: Option<WhyOff>,
    warnings: Vec<&'r Problem>,
    activity: RuleActivity,
}

pub(super) fn page(
    admin: &Admin,
    query: &RulesQuery,
    activity: Option<HashMap<String, RuleActivity>>,
) -> Markup {
    let rules = admin.rules.borrow().clone();
    let unselected = admin.unselected.borrow().clone();
    let status = admin.status.borrow().clone();
    let is_known = activity.is_some();
    let mut activity = activity.unwrap_or_default();
    let wanted = query.text.clone().unwrap_or_default().to_lowercase();
    let mut warnings = rules.warnings_by_rule();
    let on = rules.rules.iter().map(|rule| (&**rule, None));
    let off = rules.off.iter().map(|it| (&*it.rule, Some(it.why)));
    let mut rows: Vec<Row<'_>> = on
        .chain(off)
        .filter(|(rule, _)| has(rule, &wanted))
        .map(|(rule, off)| Row {
            rule,
            off,
            warnings: warnings.remove(&*rule.id).unwrap_or_default(),
            activity: activity.remove(&rule.id).unwrap_or_default(),
        })
        .collect();
    let sort = query.sort.unwrap_or_default();
    order(&mut rows, sort);
    let page = usize::from(query.page.map_or(1, NonZeroU16::get));
    let pages = rows.len().div_ceil(SHOWN_MAX).max(1);
    let shown = rows.chunks(SHOWN_MAX).nth(page - 1).unwrap_or_default();
    let of_none: Vec<&Problem> = rules
        .warnings
        .iter()
        .filter(|it| it.rule.is_none())
        .collect();
    let content = html! {
        h1 { (rules.rules.len()) " rules" @if !rules.off.is_empty() { ", and " (rules.off.len()) " that are off" } }
        @if let Some((_, why)) = &status.rules.refused {
            (notice(&format!("Newer rules were refused, and these go on: {why}")))
        }
        @if !is_known { (notice("The database is busy: what the rules have done is not shown.")) }
        @if !of_none.is_empty() { p { "Of no single rule: " } (notes(&of_none)) }
        form .filters method="get" action="/rules" {
            label { "Text" input name="text" value=(query.text.as_deref().unwrap_or_default()); }
            input type="hidden" name="sort" value=(sort.as_str());
            button { "Show" }
        }
        @if rows.is_empty() { p { "None fit." } }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Rules" {
                table {
                    caption .visually-hidden { "Rules" }
                    thead { tr {
                        (heading(query, sort, Sort::Id, "Rule"))
                        th scope="col" { "Finds" }
                        (heading(query, sort, Sort::Severity, "Severity"))
                        (heading(query, sort, Sort::Matches, "Matches, a day"))
                        (heading(query, sort, Sort::Findings, "Findings, a day"))
                        (heading(query, sort, Sort::Open, "Open"))
                        (heading(query, sort, Sort::Last, "Last"))
                        (heading(query, sort, Sort::Cost, "Looked at closely"))
                        (heading(query, sort, Sort::Time, "Time"))
                        (heading(query, sort, Sort::Warnings, "Warnings"))
                        th scope="col" { "From" }
                    } }
                    tbody { @for it in shown { (row(it, unselected.contains(&it.rule.id))) } }
                }
            }
        }
        @if pages > 1 {
            nav .links aria-label="Pages of rules" {
                @for n in 1..=pages {
                    a href=(address(query, sort, n)) aria-current=[(n == page).then_some("page")] { (n) }
                }
            }
        }
        p .aside {
            "Looked at closely are entries since the start that held a text of the rule; the time is that of these looks, of which one in 61 is timed. "
            "The search for texts, which all rules share, is not in it. "
            "Matches of a day and the last match are known as far as matches are recorded. "
            "Warnings are those of "
            code { "trommel check" }
            ", which also tells of lines that several rules match."
        }
    };
    layout::page(admin, "Rules", Some("/rules"), &content)
}

fn row(row: &Row<'_>, is_unselected: bool) -> Markup {
    let Row {
        rule,
        off,
        warnings,
        activity,
    } = row;
    let last = activity.last_match.max(activity.last_finding);
    html! {
        tr #(rule.id) {
            td .id {
                a href={ "/rules/" (rule.id) } { code { (rule.id) } }
                @match off {
                    None => {}
                    Some(WhyOff::Elsewhere) => { div .aside { strong { "off here" } } }
                    Some(WhyOff::Disabled) => { div .aside { strong { "switched off" } } }
                }
                @if is_unselected { div .aside { "no stream for a day" } }
            }
            td .what {
                @if let Some(name) = &rule.name { (text(name)) }
                div .aside {
                    (rule.condition.class()) ": " (text(&rule.condition.to_string()))
                    @if rule.by.is_empty() { ", one finding at a time" } @else { ", one finding for each " (text(&rule.by.join(", "))) }
                    @if !rule.environments.is_empty() { ", in " (text(&rule.environments.join(", "))) }
                }
            }
            td { (severity(rule.severity)) }
            td data-label="matches" { (activity.matches_day) }
            td data-label="findings" { a href={ "/findings?rule=" (rule.id) } { (activity.findings_day) } }
            td data-label="open" { @if activity.open > 0 { a href={ "/findings?state=open&rule=" (rule.id) } { (activity.open) } } @else { "0" } }
            td data-label="last" { @if let Some(last) = last { (time(last)) } @else { span .aside { "not lately" } } }
            td data-label="looked at" {
                (activity.candidates)
                @if activity.candidates > 0 { div .aside { (activity.confirmed) " counted" } }
            }
            td { @if activity.seconds > 0.0 { (seconds(activity.seconds)) } @else { span .aside { "little" } } }
            td .notes { (notes(warnings)) }
            td .aside { (text(&format!("{}:{}", rule.source.file, rule.source.line))) }
        }
    }
}

fn has(rule: &Rule, wanted: &str) -> bool {
    let fits = |text: &str| text.to_lowercase().contains(wanted);
    wanted.is_empty()
        || fits(&rule.id)
        || rule.name.as_deref().is_some_and(fits)
        || rule.owner.as_deref().is_some_and(fits)
        || rule.tags.iter().any(|tag| fits(tag))
        || rule.environments.iter().any(|name| fits(name))
        || fits(&rule.condition.to_string())
}

/// Puts what is most first; of equal ones the order of ids stays.
fn order(rows: &mut [Row<'_>], by: Sort) {
    // Those that are off are there with the others.
    rows.sort_by(|a, b| a.rule.id.cmp(&b.rule.id));
    match by {
        Sort::Id => {}
        Sort::Severity => rows.sort_by_key(|row| Reverse(row.rule.severity)),
        Sort::Matches => rows.sort_by_key(|row| Reverse(row.activity.matches_day)),
        Sort::Findings => rows.sort_by_key(|row| Reverse(row.activity.findings_day)),
        Sort::Open => rows.sort_by_key(|row| Reverse(row.activity.open)),
        Sort::Last => {
            rows.sort_by_key(|row| Reverse(row.activity.last_match.max(row.activity.last_finding)));
        }
        Sort::Cost => rows.sort_by_key(|row| Reverse(row.activity.candidates)),
        Sort::Time => rows.sort_by(|a, b| b.activity.seconds.total_cmp(&a.activity.seconds)),
        Sort::Warnings => rows.sort_by_key(|row| Reverse(row.warnings.len())),
    }
}

fn heading(query: &RulesQuery, now: Sort, sort: Sort, name: &str) -> Markup {
    let order = if sort == Sort::Id {
        "ascending"
    } else {
        "descending"
    };
    html! {
        th scope="col" aria-sort=[(now == sort).then_some(order)] {
            a href=(address(query, sort, 1)) { (name) }
        }
    }
}

fn address(query: &RulesQuery, sort: Sort, page: usize) -> String {
    const BEFORE: &str = "/rules?";
    let mut address = form_urlencoded::Serializer::for_suffix(BEFORE.to_owned(), BEFORE.len());
    address.append_pair("sort", sort.as_str());
    if let Some(text) = query.text.as_deref().filter(|text| !text.is_empty()) {
        address.append_pair("text", text);
    }
    if page > 1 {
        address.append_pair("page", &page.to_string());
    }
    address.finish()
}

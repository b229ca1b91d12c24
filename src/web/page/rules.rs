//! The rules in use: what each finds, what it has done lately, and what it costs.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use maud::{Markup, html};
use serde::Deserialize;

use super::layout;
use super::parts::{notice, severity, time};
use crate::rules::Rule;
use crate::web::Admin;
use crate::web::api::RuleActivity;

/// Rules that a page shows at once.
const SHOWN_MAX: usize = 200;

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
        }
    }
}

/// A rule with what it has done.
type Row = (Arc<Rule>, RuleActivity);

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
    let mut rows: Vec<Row> = rules
        .rules
        .iter()
        .filter(|rule| has(rule, &wanted))
        .map(|rule| {
            (
                Arc::clone(rule),
                activity.remove(&rule.id).unwrap_or_default(),
            )
        })
        .collect();
    let sort = query.sort.unwrap_or_default();
    order(&mut rows, sort);
    let page = usize::from(query.page.map_or(1, NonZeroU16::get));
    let pages = rows.len().div_ceil(SHOWN_MAX).max(1);
    let shown = rows.chunks(SHOWN_MAX).nth(page - 1).unwrap_or_default();
    let content = html! {
        h1 { (rules.rules.len()) " rules" }
        @if let Some((_, why)) = &status.rules.refused {
            (notice(&format!("Newer rules were refused, and these go on: {why}")))
        }
        @if !is_known { (notice("The database is busy: what the rules have done is not shown.")) }
        form .filters method="get" action="/rules" {
            label { "Text" input name="text" value=(query.text.as_deref().unwrap_or_default()); }
            input type="hidden" name="sort" value=(sort.as_str());
            button { "Show" }
        }
        @if rows.is_empty() { p { "None fit." } }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Rules" {
                table {
                    caption .visually-hidden { "Rules in use" }
                    thead { tr {
                        (heading(query, sort, Sort::Id, "Rule"))
                        th scope="col" { "Finds" }
                        (heading(query, sort, Sort::Severity, "Severity"))
                        (heading(query, sort, Sort::Matches, "Matches, a day"))
                        (heading(query, sort, Sort::Findings, "Findings, a day"))
                        (heading(query, sort, Sort::Open, "Open"))
                        (heading(query, sort, Sort::Last, "Last"))
                        (heading(query, sort, Sort::Cost, "Looked at closely"))
                        th scope="col" { "From" }
                    } }
                    tbody { @for (rule, activity) in shown { (row(rule, activity, unselected.contains(&rule.id))) } }
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
            "Looked at closely are entries since the start that held a text of the rule; time is not measured for each rule. "
            "Matches of a day and the last match are known as far as matches are recorded."
        }
    };
    layout::page(admin, "Rules", Some("/rules"), &content)
}

fn row(rule: &Rule, activity: &RuleActivity, is_unselected: bool) -> Markup {
    let last = activity.last_match.max(activity.last_finding);
    html! {
        tr #(rule.id) {
            td .id {
                a href={ "/rules/" (rule.id) } { code { (rule.id) } }
                @if is_unselected { div .aside { "no stream for a day" } }
            }
            td .what {
                @if let Some(name) = &rule.name { (name) }
                div .aside {
                    (rule.condition.class()) ": " (rule.condition)
                    @if !rule.by.is_empty() { ", for each " (rule.by.join(", ")) }
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
            td .aside { (rule.source.file) ":" (rule.source.line) }
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
        || fits(&rule.condition.to_string())
}

/// Puts what is most first; of equal ones the order of ids stays.
fn order(rows: &mut [Row], by: Sort) {
    match by {
        Sort::Id => {}
        Sort::Severity => rows.sort_by_key(|(rule, _)| Reverse(rule.severity)),
        Sort::Matches => rows.sort_by_key(|(_, activity)| Reverse(activity.matches_day)),
        Sort::Findings => rows.sort_by_key(|(_, activity)| Reverse(activity.findings_day)),
        Sort::Open => rows.sort_by_key(|(_, activity)| Reverse(activity.open)),
        Sort::Last => {
            rows.sort_by_key(|(_, activity)| {
                Reverse(activity.last_match.max(activity.last_finding))
            });
        }
        Sort::Cost => rows.sort_by_key(|(_, activity)| Reverse(activity.candidates)),
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

//! The page for people: what is wrong, since when, and what the log says.
//!
//! It is made here and needs no script to be read. A script keeps it up to date and shows times in the reader's zone. Everything that
//! comes from a log is text: `maud` escapes it, and the policy that goes along lets no other script run.

mod audit;
mod change;
mod course;
mod finding;
mod findings;
mod layout;
mod overview;
mod parts;
mod plot;
mod rule;
mod rules;
mod silences;
#[cfg(test)]
mod tests;
mod trying;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;

use super::Admin;
use super::answer::{Id, Refusal, read_query};
use super::api::rule::{detail, tests_of};
use super::api::{
    AuditQuery, EndQuery, FindingsQuery, NewSilence, Survey, activity, audit_page, end_silence,
    finding_of, page_of, silence, told,
};
use super::form::Form;
use super::marks::marks;
use super::trying::BODY_BYTES_MAX;
use super::visitor::Visitor;
use crate::finding::{Finding, State};
use crate::record::{FindingFilter, FindingRow};
use crate::rules::Severity;
use crate::time::Timestamp;

use finding::One;
use findings::List;
use overview::Seen;

/// Most findings that a page shows at once.
const SHOWN_MAX: usize = 100;
/// Findings that are over on the first page.
const OVER_MAX: usize = 5;

/// Where the page of one finding is, before its id.
const FINDING: &str = "/findings/";

/// Where silences are.
const SILENCES: &str = "/silences";
/// Size of a form with rules and lines: each of its bytes may be written as three.
const FORM_BYTES_MAX: usize = 3 * BODY_BYTES_MAX + 1024;

/// All pages but the first, which shares its path with the list of paths.
pub(super) fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/findings", get(list))
        .route("/findings/{id}", get(one))
        .route("/rules", get(rules))
        .route("/rules/{id}", get(rule).post(change::post))
        .route("/audit", get(read_audit))
        .route(SILENCES, get(list_silences).post(make_silence))
        .route("/silences/{id}/end", post(end_one))
        .route(
            "/try",
            get(trying::get)
                .post(trying::post)
                .layer(DefaultBodyLimit::max(FORM_BYTES_MAX)),
        )
}

/// No script but ours, nothing from elsewhere, and in nobody's frame. `data:` is the empty icon.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// An answer that is a page.
fn answer(admin: &Admin, page: Result<Markup, Refusal>) -> Response {
    let (status, page) = match page {
        Ok(page) => (StatusCode::OK, page),
        Err(Refusal { status, why }) => (
            status,
            layout::page(admin, "Not to be shown", None, &refused(&why)),
        ),
    };
    let mut response = (status, Html(page.into_string())).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::REFERRER_POLICY,
        // With `no-referrer` a browser sends forms with `Origin: null`, as if they came from nowhere.
        HeaderValue::from_static("same-origin"),
    );
    response
}

fn refused(why: &str) -> Markup {
    html! { h1 { "Not to be shown" } (parts::notice(why)) }
}

pub(super) async fn overview(Shared(admin): Shared<Arc<Admin>>) -> Response {
    let page = read_overview(&admin).await;
    answer(&admin, page)
}

async fn list(Shared(admin): Shared<Arc<Admin>>, RawQuery(query): RawQuery) -> Response {
    let page = read_list(&admin, &query.unwrap_or_default()).await;
    answer(&admin, page)
}

async fn one(
    Shared(admin): Shared<Arc<Admin>>,
    visitor: Visitor,
    Path(Id { id }): Path<Id>,
) -> Response {
    let page = read_one(&admin, &visitor, id).await;
    answer(&admin, page)
}

async fn rules(Shared(admin): Shared<Arc<Admin>>, RawQuery(query): RawQuery) -> Response {
    let page = match read_query(&filled_in(&query.unwrap_or_default()).1) {
        Ok(query) => Ok(rules::page(&admin, &query, activity(&admin).await)),
        Err(refusal) => Err(refusal),
    };
    answer(&admin, page)
}

async fn rule(
    Shared(admin): Shared<Arc<Admin>>,
    visitor: Visitor,
    Path(Id { id }): Path<Id>,
    RawQuery(query): RawQuery,
) -> Response {
    let tests = query.is_some_and(|query| query == "tests=run");
    let page = rule_page(&admin, &visitor, id, tests, None).await;
    answer(&admin, page)
}

/// The page of the rule `id`, with its tests run if `tests`, and with what came of a change that was sent.
async fn rule_page(
    admin: &Admin,
    visitor: &Visitor,
    id: String,
    tests: bool,
    answered: Option<&change::Answered>,
) -> Result<Markup, Refusal> {
    let detail = detail(admin, id).await?;
    let filter = |state, limit| FindingFilter {
        state: Some(state),
        rule: Some(detail.id.clone()),
        limit,
        ..FindingFilter::default()
    };
    let (open, over) = (filter(State::Open, SHOWN_MAX), filter(State::Recovered, 5));
    let found = admin
        .archive
        .ask(move |reader| Ok((reader.findings(&open)?, reader.findings(&over)?)))
        .await?;
    let findings = rule::Found {
        open: readable(found.0),
        over: readable(found.1),
    };
    let tests = match tests {
        true => Some(tests_of(admin, detail.id.clone()).await?),
        false => None,
    };
    Ok(rule::page(
        admin,
        visitor,
        &detail,
        &findings,
        tests.as_ref(),
        answered,
    ))
}

/// What `/silences` begins with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SilencesQuery {
    rule: Option<String>,
}

async fn list_silences(
    Shared(admin): Shared<Arc<Admin>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Response {
    let page = async {
        let asked: SilencesQuery = read_query(&query.unwrap_or_default())?;
        let silences = admin.archive.ask(|reader| reader.silences()).await?;
        let rule = asked.rule.as_deref();
        Ok(silences::page(&admin, &visitor, &silences, rule))
    };
    let page = page.await;
    answer(&admin, page)
}

/// After a form the browser is led to what came of it, so that to load the page again does nothing again.
fn led(admin: &Admin, to: Result<String, Refusal>) -> Response {
    match to {
        Ok(to) => Redirect::to(&to).into_response(),
        Err(refusal) => answer(admin, Err(refusal)),
    }
}

async fn make_silence(
    Shared(admin): Shared<Arc<Admin>>,
    form: Result<Form<NewSilence>, Refusal>,
) -> Response {
    let made = async {
        let Form { author, given } = form?;
        let of = given.finding.clone();
        let made = silence(&admin, &author, given).await?;
        Ok(match of {
            Some(finding) => format!("{FINDING}{finding}#silence"),
            None => format!("{SILENCES}#{}", made.id),
        })
    };
    let made = made.await;
    led(&admin, made)
}

async fn end_one(
    Shared(admin): Shared<Arc<Admin>>,
    Path(Id { id }): Path<Id>,
    form: Result<Form<EndQuery>, Refusal>,
) -> Response {
    let ended = async {
        let Form { author, given } = form?;
        end_silence(&admin, &author, id, given.reason).await?;
        Ok(SILENCES.to_owned())
    };
    let ended = ended.await;
    led(&admin, ended)
}

async fn read_audit(Shared(admin): Shared<Arc<Admin>>, RawQuery(query): RawQuery) -> Response {
    let page = audit_of(&admin, &query.unwrap_or_default()).await;
    answer(&admin, page)
}

async fn audit_of(admin: &Admin, query: &str) -> Result<Markup, Refusal> {
    let (given, query) = filled_in(query);
    let asked: AuditQuery = read_query(&query)?;
    let (entries, next) = audit_page(admin, asked).await?;
    Ok(audit::page(admin, &given, &entries, next))
}

/// What stands behind the `?` as a form sends it, without what was left empty, and with times in UTC: as pairs, and as it is written.
fn filled_in(query: &str) -> (Vec<(String, String)>, String) {
    let given: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| match &*name {
            "since" | "until" => (name.into_owned(), in_utc(&value)),
            _ => (name.into_owned(), value.into_owned()),
        })
        .collect();
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&given)
        .finish();
    (given, query)
}

async fn read_overview(admin: &Admin) -> Result<Markup, Refusal> {
    let now = Timestamp::wall_clock();
    let (survey, (open, over, samples)) = Survey::with(admin, move |reader| {
        let others = FindingFilter {
            own: Some(false),
            ..FindingFilter::default()
        };
        let mut open = Vec::new();
        for severity in Severity::ALL.into_iter().rev() {
            open.extend(reader.findings(&FindingFilter {
                state: Some(State::Open),
                severity: Some(severity),
                limit: SHOWN_MAX - open.len(),
                ..others.clone()
            })?);
        }
        let over = reader.findings(&FindingFilter {
            state: Some(State::Recovered),
            limit: OVER_MAX,
            ..others
        })?;
        Ok((open, over, reader.samples(Some(now.minus(plot::SPAN)))?))
    })
    .await?;
    let seen = Seen {
        open: readable(open),
        over: readable(over),
        samples,
        now,
    };
    Ok(overview::page(admin, &survey, &seen))
}

async fn read_list(admin: &Admin, query: &str) -> Result<Markup, Refusal> {
    let (given, query) = filled_in(query);
    let asked: FindingsQuery = read_query(&query)?;
    let mut filter = asked.clone().into_filter();
    filter.limit = filter.limit.min(SHOWN_MAX);
    let (rows, next) = page_of(admin, filter).await?;
    let list = List {
        asked,
        given,
        findings: readable(rows),
        next,
        kinds: admin.archive.ask(|reader| reader.kinds()).await?,
    };
    Ok(findings::page(admin, &list))
}

/// A time as a browser's form sends it is without a zone, and without seconds when these are zero.
fn in_utc(text: &str) -> String {
    let is_zoned = text.parse::<Timestamp>().is_ok();
    match text.len() {
        _ if is_zoned => text.to_owned(),
        // 2026-11-29T12:00
        16 => format!("{text}:00Z"),
        _ => format!("{text}Z"),
    }
}

async fn read_one(admin: &Admin, visitor: &Visitor, id: String) -> Result<Markup, Refusal> {
    let told = told(admin, id).await?;
    let timeline: Vec<_> = told
        .outlines
        .iter()
        .filter_map(|outline| serde_json::from_str(outline).ok())
        .collect();
    let row = told.finding;
    let finding = finding_of(&row)?;
    let silences = admin.archive.ask(|reader| reader.silences()).await?;
    let silence = silences::of_finding(visitor, &finding, &silences, (admin.clock)());
    let marks = marks(&admin.rules.borrow().clone(), &finding);
    let one = One {
        finding,
        changed_at: row.changed_at,
        timeline,
        marks,
    };
    Ok(finding::page(admin, &one, &silence))
}

/// A finding in a list.
struct Shown {
    row: FindingRow,
    finding: Finding,
}

/// Those that this version can read; one that another version wrote is left out, and is in the API as it is.
fn readable(rows: Vec<FindingRow>) -> Vec<Shown> {
    let read = |row: FindingRow| {
        let finding = serde_json::from_str(&row.body).ok()?;
        Some(Shown { row, finding })
    };
    rows.into_iter().filter_map(read).collect()
}

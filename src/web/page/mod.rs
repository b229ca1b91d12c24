//! The page for people: what is wrong, since when, and what the log says.
//!
//! It is made here and needs no script to be read. A script keeps it up to date and shows times in the reader's zone. Everything that
//! comes from a log is text: `maud` escapes it, and the policy that goes along lets no other script run.

mod finding;
mod findings;
mod layout;
mod overview;
mod parts;
mod rules;
#[cfg(test)]
mod tests;

use hyper::StatusCode;
use maud::Markup;

use super::findings::{Refusal, page_of, read_filter, told};
use super::{Admin, Question};
use crate::finding::{Finding, State};
use crate::record::{FindingFilter, FindingRow};

/// Most findings that a page shows at once.
const SHOWN_MAX: usize = 100;

/// Where the page of one finding is, before its id.
const FINDING: &str = "/findings/";

/// The page at `path`, if there is one.
pub(super) async fn at(admin: &Admin, path: &str, query: &str) -> Option<(StatusCode, Markup)> {
    let page = match path {
        "/" => overview(admin).await,
        "/findings" => list(admin, query).await,
        "/rules" => Ok(rules::page(admin)),
        _ => one(admin, path.strip_prefix(FINDING)?).await,
    };
    Some(match page {
        Ok(page) => (StatusCode::OK, page),
        Err((status, why)) => (
            status,
            layout::page(admin, "Not to be shown", None, &parts::notice(&why)),
        ),
    })
}

async fn overview(admin: &Admin) -> Result<Markup, Refusal> {
    let filter = FindingFilter {
        state: Some(State::Open),
        limit: SHOWN_MAX + 1,
        ..FindingFilter::default()
    };
    let open = found(admin, filter).await?;
    let filter = FindingFilter {
        state: Some(State::Recovered),
        limit: 5,
        ..FindingFilter::default()
    };
    let over = found(admin, filter).await?;
    Ok(overview::page(admin, open, &over))
}

async fn list(admin: &Admin, query: &str) -> Result<Markup, Refusal> {
    // A form sends what was left empty too.
    let given: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&given)
        .finish();
    let mut filter = read_filter(&query).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    filter.limit = filter.limit.min(SHOWN_MAX);
    let asked = filter.clone();
    let (rows, next) = page_of(admin, filter).await?;
    Ok(findings::page(
        admin,
        &asked,
        &given,
        &readable(rows),
        next.as_deref(),
    ))
}

async fn one(admin: &Admin, id: &str) -> Result<Markup, Refusal> {
    let told = told(admin, id).await?;
    let timeline: Vec<_> = told
        .outlines
        .iter()
        .filter_map(|outline| serde_json::from_str(outline).ok())
        .collect();
    let row = told.finding;
    let finding: Finding = serde_json::from_str(&row.body).map_err(|error| {
        let why = format!("finding {id} was stored by another version of trommel: {error}");
        (StatusCode::INTERNAL_SERVER_ERROR, why)
    })?;
    Ok(finding::page(admin, &finding, row.changed_at, &timeline))
}

async fn found(admin: &Admin, filter: FindingFilter) -> Result<Vec<Shown>, Refusal> {
    let rows = super::findings::ask(admin, |reply| Question::Findings { filter, reply }).await?;
    Ok(readable(rows))
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

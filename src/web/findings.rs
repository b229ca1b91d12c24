//! Findings over HTTP: the list, with filters and pages, and one of them with its timeline.

use std::time::Duration;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Admin, Question};
use crate::finding::State;
use crate::record::{FindingFilter, FindingRow, Told};
use crate::rules::Severity;
use crate::time::Timestamp;

/// Findings in an answer when the request does not say.
const LIMIT_DEFAULT: usize = 100;
/// Findings in an answer at most, some 3 KiB each and never above 32: a slow reader holds its answer in memory.
pub(super) const LIMIT_MAX: usize = 500;
/// How long the owner of the database may take to answer; it also commits, and a commit can wait for a slow disk.
const OWNER_TIMEOUT: Duration = Duration::from_secs(5);

/// A status that is no success, and what to say.
pub(super) type Refusal = (StatusCode, String);

/// A page of findings.
#[derive(Serialize)]
pub(super) struct Findings {
    findings: Vec<Box<RawValue>>,
    /// Where the next page begins, as the parameter `after`; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A finding and what was said of it.
#[derive(Serialize)]
pub(super) struct Finding {
    finding: Box<RawValue>,
    /// Its first revision and its last ones, oldest first.
    timeline: Vec<Box<RawValue>>,
}

/// The findings that `query` asks for.
pub(super) async fn list(admin: &Admin, query: &str) -> Result<Findings, Refusal> {
    let filter = read_filter(query).map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    let (rows, next) = page_of(admin, filter).await?;
    let findings = rows.into_iter().map(|row| stored(row.body));
    Ok(Findings {
        findings: findings.collect::<Result<_, _>>()?,
        next,
    })
}

/// A page of findings, and where the next one begins, if there is one.
pub(super) async fn page_of(
    admin: &Admin,
    mut filter: FindingFilter,
) -> Result<(Vec<FindingRow>, Option<String>), Refusal> {
    let limit = filter.limit;
    // One more tells whether there is another page.
    filter.limit += 1;
    let mut rows = ask(admin, |reply| Question::Findings { filter, reply }).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|row| format!("{}:{}", row.changed_at.0, row.finding_id));
    Ok((rows, next))
}

/// The finding `id` with all that was said of it.
pub(super) async fn told(admin: &Admin, id: &str) -> Result<Told, Refusal> {
    let finding_id = id.to_owned();
    let told = ask(admin, |reply| Question::Finding { finding_id, reply }).await?;
    told.ok_or_else(|| {
        let error = format!(
            "no finding `{id}`: it may have been forgotten, `history_max_age` and `history_bytes_max` say when"
        );
        (StatusCode::NOT_FOUND, error)
    })
}

/// The finding `id`, for programs.
pub(super) async fn one(admin: &Admin, id: &str) -> Result<Finding, Refusal> {
    let told = told(admin, id).await?;
    Ok(Finding {
        finding: stored(told.finding.body)?,
        timeline: told
            .outlines
            .into_iter()
            .map(stored)
            .collect::<Result<_, _>>()?,
    })
}

pub(super) async fn ask<T>(
    admin: &Admin,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Result<T, Refusal> {
    let unavailable = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, why.to_owned());
    let (reply, answer) = oneshot::channel();
    let asked = async {
        admin.questions.send(question(reply)).await.ok()?;
        answer.await.ok()
    };
    timeout(OWNER_TIMEOUT, asked)
        .await
        .map_err(|_| unavailable("the database is busy; try again"))?
        .ok_or_else(|| unavailable("the database cannot be read; the log says why"))
}

fn stored(body: String) -> Result<Box<RawValue>, Refusal> {
    RawValue::from_string(body).map_err(|error| {
        let error = format!("a stored finding is not JSON: {error}");
        (StatusCode::INTERNAL_SERVER_ERROR, error)
    })
}

/// The parameters there are.
pub(super) const PARAMETERS: &str =
    "state, severity, domain, type, rule, text, since, until, after or limit";

/// Reads `state=open&limit=10`. What is not known is an error: a misspelt filter would show too much.
pub(super) fn read_filter(query: &str) -> Result<FindingFilter, String> {
    let mut filter = FindingFilter {
        limit: LIMIT_DEFAULT,
        ..FindingFilter::default()
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let text = || Some(value.clone().into_owned());
        match &*name {
            "state" => filter.state = Some(read_state(&value)?),
            "severity" => filter.severity = Some(read_severity(&value)?),
            "domain" => filter.domain = text(),
            "type" => filter.incident_type = text(),
            "rule" => filter.rule = text(),
            "text" => filter.text = text(),
            "since" => filter.since = Some(read_time("since", &value)?),
            "until" => filter.until = Some(read_time("until", &value)?),
            "after" => filter.after = Some(read_place(&value)?),
            "limit" => filter.limit = read_limit(&value)?,
            other => {
                return Err(format!(
                    "unknown parameter `{other}`, expected {PARAMETERS}"
                ));
            }
        }
    }
    Ok(filter)
}

fn read_state(text: &str) -> Result<State, String> {
    State::named(text).ok_or_else(|| format!("state is `{text}`, expected open or recovered"))
}

fn read_severity(text: &str) -> Result<Severity, String> {
    Severity::named(text)
        .ok_or_else(|| format!("severity is `{text}`, expected info, warning or critical"))
}

fn read_time(name: &str, text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| format!("{name} is `{text}`, expected a time such as 2026-11-29T12:00:00Z"))
}

fn read_limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok();
    limit
        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| format!("limit is `{text}`, expected 1 to {LIMIT_MAX}"))
}

fn read_place(text: &str) -> Result<(Timestamp, String), String> {
    let place = text.split_once(':').and_then(|(at, id)| {
        let at = at.parse().ok()?;
        Some((Timestamp(at), id.to_owned()))
    });
    place.ok_or_else(|| format!("after is `{text}`, expected what `next` of the page before said"))
}

//! Findings over HTTP: the list, with filters and pages, and one of them with its timeline.

use std::num::NonZeroU16;
use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;

use crate::finding::{EvidenceLine, Finding, Outline, State};
use crate::record::{FindingFilter, FindingRow, Reader, Told};
use crate::rules::Severity;
use crate::time::Timestamp;
use crate::web::Admin;
use crate::web::answer::{BETWEEN, Id, Query, Refusal};
use crate::web::marks::marks;
use crate::web::paging;

/// Labels that can be asked for at once: each is looked for in the text of every finding.
const LABELS_MAX: usize = 8;

/// Which findings are asked for. What is not known is refused: a misspelt filter would show too much.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct FindingsQuery {
    /// Only those in this state.
    pub(in crate::web) state: Option<State>,
    /// Only those of this severity.
    pub(in crate::web) severity: Option<Severity>,
    /// Only those of this domain.
    pub(in crate::web) domain: Option<String>,
    /// Only those of this incident type.
    #[serde(rename = "type")]
    pub(in crate::web) incident_type: Option<String>,
    /// Only those of this rule.
    pub(in crate::web) rule: Option<String>,
    /// Only those that have this label, as `name=value`, in their resource scope or on a line of their evidence. May be given up to
    /// eight times: then each of them.
    #[serde(default, rename = "label", deserialize_with = "labels")]
    #[schemars(with = "Vec<String>")]
    pub(in crate::web) labels: Vec<(String, String)>,
    /// Only those that have this text anywhere, ASCII letters in either case.
    pub(in crate::web) text: Option<String>,
    /// Only those that changed at this time or later.
    #[serde(default, deserialize_with = "time")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(in crate::web) since: Option<Timestamp>,
    /// Only those that changed before this time.
    #[serde(default, deserialize_with = "time")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(in crate::web) until: Option<Timestamp>,
    /// Only those behind the page before: what its `next` said.
    #[serde(default, deserialize_with = "place")]
    #[schemars(with = "Option<String>", regex(pattern = r"^-?[0-9]{1,18}:.*$"))]
    after: Option<(Timestamp, String)>,
    /// At most this many.
    #[serde(default, deserialize_with = "paging::limit")]
    #[schemars(with = "Option<u16>", range(min = 1, max = 500))]
    limit: Option<NonZeroU16>,
}

/// Reads a time as RFC 3339 has it.
pub(super) fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(from)?;
    let time = Timestamp::nearest(&text).map_err(|_| {
        de::Error::custom(format!(
            "`{text}` is no time, expected one such as 2026-11-29T12:00:00Z"
        ))
    })?;
    Ok(Some(time))
}

fn labels<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, String)>, D::Error> {
    let text = String::deserialize(from)?;
    let label = |label: &str| {
        let (name, value) = label.split_once('=').filter(|(name, _)| !name.is_empty())?;
        Some((name.to_owned(), value.to_owned()))
    };
    let labels: Result<Vec<_>, _> = text
        .split(BETWEEN)
        .map(|text| {
            label(text).ok_or_else(|| {
                de::Error::custom(format!(
                    "`{text}` is no label, expected one such as namespace=shop"
                ))
            })
        })
        .collect();
    let labels = labels?;
    match labels.len() {
        0..=LABELS_MAX => Ok(labels),
        many => Err(de::Error::custom(format!(
            "{many} labels are asked for, at most {LABELS_MAX} can be"
        ))),
    }
}

fn place<'de, D: Deserializer<'de>>(from: D) -> Result<Option<(Timestamp, String)>, D::Error> {
    let text = String::deserialize(from)?;
    let place = text
        .split_once(':')
        .and_then(|(at, id)| Some((Timestamp::new(at.parse().ok()?), id.to_owned())));
    place.map(Some).ok_or_else(|| {
        de::Error::custom(format!(
            "`{text}` is no place, expected what `next` of the page before said"
        ))
    })
}

impl FindingsQuery {
    /// As the database is asked.
    pub(in crate::web) fn into_filter(self) -> FindingFilter {
        FindingFilter {
            state: self.state,
            severity: self.severity,
            domain: self.domain,
            incident_type: self.incident_type,
            rule: self.rule,
            own: None,
            labels: self.labels,
            text: self.text,
            since: self.since,
            until: self.until,
            after: self.after,
            limit: paging::entries(self.limit),
        }
    }
}

/// A page of findings.
#[derive(Serialize, JsonSchema)]
pub(super) struct Findings {
    #[schemars(with = "Vec<Finding>")]
    findings: Vec<Box<RawValue>>,
    /// Where the next page begins, as the parameter `after`; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A finding and what was said of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct FindingAnswer {
    #[schemars(with = "Finding")]
    finding: Box<RawValue>,
    /// Its first revision and its last ones, oldest first.
    #[schemars(with = "Vec<Outline>")]
    timeline: Vec<Box<RawValue>>,
    /// For each line of the evidence what the rule that is in use now matches in it, in order; empty where it does not match, or is gone.
    marks: Vec<Vec<Mark>>,
}

/// A part of a line.
#[derive(Debug, Serialize, JsonSchema)]
struct Mark {
    /// Where it begins, in characters (Unicode code points).
    start: usize,
    /// Where it ends: the first character behind it.
    end: usize,
}

/// Marks of bytes as those of characters.
fn marks_of(admin: &Admin, body: &str) -> Vec<Vec<Mark>> {
    // One that another version wrote has none.
    let Ok(finding) = serde_json::from_str::<Finding>(body) else {
        return Vec::new();
    };
    let marks = marks(&admin.rules.borrow().clone(), &finding);
    let lines = marks.into_iter().zip(&finding.evidence.lines);
    let in_characters = |(marks, quoted): (Vec<Range<usize>>, &EvidenceLine)| {
        let mark = |mark: &Range<usize>| Mark {
            start: quoted.line[..mark.start].chars().count(),
            end: quoted.line[..mark.end].chars().count(),
        };
        marks.iter().map(mark).collect()
    };
    lines.map(in_characters).collect()
}

/// `GET /api/v1/findings`.
pub(super) async fn list(
    Shared(admin): Shared<Arc<Admin>>,
    Query(query): Query<FindingsQuery>,
) -> Result<Json<Findings>, Refusal> {
    let (rows, next) = page_of(&admin, query.into_filter()).await?;
    let findings = rows.into_iter().map(|row| stored(row.body));
    Ok(Json(Findings {
        findings: findings.collect::<Result<_, _>>()?,
        next,
    }))
}

/// `GET /api/v1/findings/{id}`.
pub(super) async fn one(
    Shared(admin): Shared<Arc<Admin>>,
    Path(Id { id }): Path<Id>,
) -> Result<Json<FindingAnswer>, Refusal> {
    let told = told(&admin, id).await?;
    let timeline = told.outlines.into_iter().map(stored);
    let marks = marks_of(&admin, &told.finding.body);
    Ok(Json(FindingAnswer {
        marks,
        finding: stored(told.finding.body)?,
        timeline: timeline.collect::<Result<_, _>>()?,
    }))
}

/// A page of findings, and where the next one begins, if there is one.
pub(in crate::web) async fn page_of(
    admin: &Admin,
    mut filter: FindingFilter,
) -> Result<(Vec<FindingRow>, Option<String>), Refusal> {
    let limit = filter.limit;
    let read = move |reader: &Reader, limit| {
        filter.limit = limit;
        reader.findings(&filter)
    };
    let place = |row: &FindingRow| format!("{}:{}", row.changed_at.nanos(), row.finding_id);
    paging::page(admin, limit, read, place).await
}

/// The finding `id` with all that was said of it.
pub(in crate::web) async fn told(admin: &Admin, id: String) -> Result<Told, Refusal> {
    let asked = id.clone();
    let told = admin.archive.ask(move |reader| reader.told(&asked)).await?;
    told.ok_or_else(|| {
        Refusal::missing(format!(
            "no finding `{id}`: it may have been forgotten, `history_max_age` and `history_bytes_max` say when"
        ))
    })
}

/// The finding that `row` is the last revision of.
///
/// # Errors
/// If this version cannot read it.
pub(in crate::web) fn finding_of(row: &FindingRow) -> Result<Finding, Refusal> {
    let finding: Finding = serde_json::from_str(&row.body).map_err(|error| {
        let id = &row.finding_id;
        Refusal::broken(format!(
            "finding {id} was stored by another version of trommel: {error}"
        ))
    })?;
    // A message says it in its subject alone.
    let finding_key = row.finding_key.clone();
    Ok(Finding {
        finding_key,
        ..finding
    })
}

fn stored(body: String) -> Result<Box<RawValue>, Refusal> {
    RawValue::from_string(body)
        .map_err(|error| Refusal::broken(format!("a stored finding is not JSON: {error}")))
}

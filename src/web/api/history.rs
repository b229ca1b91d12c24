//! What was measured over the last day, a minute each: for plots where nobody scrapes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::findings::time;
use crate::record::Sample;
use crate::time::Timestamp;
use crate::web::Admin;
use crate::web::answer::{Query, Refusal};

/// How far back to go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// Only minutes that ended at this time or later.
    #[serde(default, deserialize_with = "time")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    since: Option<Timestamp>,
}

/// `/api/v1/history`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct History {
    /// Oldest first, at most 1440. Of times that none covers nothing is known: trommel did not run.
    samples: Vec<SampleView>,
}

/// What happened in a minute.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Sample")]
struct SampleView {
    /// When it began.
    #[schemars(extend("format" = "date-time"))]
    from: String,
    /// When it was over.
    #[schemars(extend("format" = "date-time"))]
    to: String,
    /// How long it was in seconds; counts by this are rates.
    seconds: f64,
    /// Log entries received.
    entries: u64,
    /// Entries that were not inspected because of overload.
    entries_shed: u64,
    /// Requests that were discarded unread because of overload.
    requests_shed: u64,
    /// Entries answered before their effect was on disk.
    entries_early: u64,
    /// Entries older than `max_age`, which decided nothing.
    entries_late: u64,
    /// Matches that were not counted because the same entry had been.
    duplicates: u64,
    /// Findings that opened.
    findings_observed: u64,
    /// How far the newest entry of a request was behind when it came; null when nothing came.
    event_lag_seconds: Option<Quantiles>,
    /// How long answers took; null when there was none.
    answer_seconds: Option<Quantiles>,
}

/// Each at most an eighth above what it really was.
#[derive(Debug, Serialize, JsonSchema)]
struct Quantiles {
    /// Half took no longer.
    p50: f64,
    /// Of a hundred, ninety-nine took no longer.
    p99: f64,
}

impl From<[Duration; 2]> for Quantiles {
    fn from([p50, p99]: [Duration; 2]) -> Self {
        Self {
            p50: p50.as_secs_f64(),
            p99: p99.as_secs_f64(),
        }
    }
}

impl From<Sample> for SampleView {
    fn from(sample: Sample) -> Self {
        Self {
            from: sample.at.minus(sample.span).to_string(),
            to: sample.at.to_string(),
            seconds: sample.span.as_secs_f64(),
            entries: sample.entries,
            entries_shed: sample.entries_shed,
            requests_shed: sample.requests_shed,
            entries_early: sample.entries_early,
            entries_late: sample.entries_late,
            duplicates: sample.duplicates,
            findings_observed: sample.findings_observed,
            event_lag_seconds: sample.lag.map(Quantiles::from),
            answer_seconds: sample.answer.map(Quantiles::from),
        }
    }
}

/// `GET /api/v1/history`.
pub(super) async fn history(
    State(admin): State<Arc<Admin>>,
    Query(HistoryQuery { since }): Query<HistoryQuery>,
) -> Result<Json<History>, Refusal> {
    let samples = admin
        .archive
        .ask(move |reader| reader.samples(since))
        .await?;
    Ok(Json(History {
        samples: samples.into_iter().map(SampleView::from).collect(),
    }))
}

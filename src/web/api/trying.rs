//! Rules tried over HTTP: lines that came lately, what rules make of lines, and what a changed rule would have opened.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::Labels;
use crate::rules::{Problem, Selector};
use crate::trial::{Backtest, Explanation};
use crate::web::Admin;
use crate::web::answer::{Given, Query, Refusal};
use crate::web::trying::{self, Declined, HOURS_MAX, LINES_MAX, Question, lines_of};

/// Which recent lines are asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinesQuery {
    /// Only those of streams that this selects, such as `{app="api"}`.
    stream: Option<String>,
    /// At most this many, 100 unless given, 1000 at most.
    limit: Option<NonZeroU16>,
}

/// Lines that came lately.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Lines {
    /// Whether lines are kept at all: `recent_lines` says.
    kept: bool,
    /// Those of the stream that spoke last first; of a stream in the order in which they came.
    lines: Vec<LineView>,
}

/// A line that came lately.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RecentLine")]
struct LineView {
    #[schemars(extend("format" = "date-time"))]
    time: String,
    /// Empty when none was sent.
    tenant: String,
    labels: BTreeMap<String, String>,
    /// Redacted, and cut to 512 bytes.
    line: String,
}

/// `GET /api/v1/lines`.
pub(super) async fn lines(
    Shared(admin): Shared<Arc<Admin>>,
    Query(query): Query<LinesQuery>,
) -> Result<Json<Lines>, Refusal> {
    let selector = match &query.stream {
        Some(text) => Selector::read(text).map_err(|why| Refusal::bad(format!("stream: {why}")))?,
        None => Selector::default(),
    };
    let limit = query.limit.map_or(100, NonZeroU16::get).min(1000);
    let recent = admin.trying.recent();
    let lines = recent.map(|recent| recent.lines(&selector, limit.into()));
    let lines = lines.into_iter().flatten().map(|line| LineView {
        time: line.at.to_string(),
        tenant: line.tenant.to_string(),
        labels: line
            .labels
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        line: line.line,
    });
    Ok(Json(Lines {
        kept: recent.is_some(),
        lines: lines.collect(),
    }))
}

/// Lines that rules are asked about; `lines`, or one `text`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainRequest {
    /// The lines, at most 200.
    #[serde(default)]
    lines: Vec<String>,
    /// Lines as one text, in place of `lines`.
    text: Option<String>,
    /// The labels of their stream.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Its tenant.
    #[serde(default)]
    tenant: String,
    /// The one rule that is asked about; without it all are, and only those are told of that match or come near.
    rule: Option<String>,
    /// A rule file beside those in use; a rule in it stands in for the one of the same id.
    rules: Option<String>,
}

/// `POST /api/v1/explain`.
pub(super) async fn explain(
    Shared(admin): Shared<Arc<Admin>>,
    Given(request): Given<ExplainRequest>,
) -> Result<Json<Explanation>, Declined> {
    let mut lines = request.lines;
    if let Some(text) = &request.text {
        if !lines.is_empty() {
            return Err(Refusal::bad("give either `lines` or `text`").into());
        }
        lines = lines_of(text);
    }
    let labels = request.labels.into_iter();
    let labels = labels.map(|(name, value)| (Box::from(name), Box::from(value)));
    let question = Question {
        lines,
        labels: Labels::new(labels),
        tenant: request.tenant,
        rule: request.rule,
        text: request.rules,
    };
    trying::explain(&admin, question).await.map(Json)
}

const _: () = assert!(LINES_MAX == 200 && HOURS_MAX == 72, "as described");

/// A rule as it is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BacktestRequest {
    /// The id of the rule in use that is compared with.
    rule: String,
    /// A rule file with the changed rule, under the same id or another.
    text: String,
    /// How far to look back: 72 hours unless given, which is the most.
    #[schemars(range(min = 1, max = 72))]
    hours: Option<u8>,
}

/// Before and after, with what else there is to say of the text.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BacktestAnswer {
    #[serde(flatten)]
    tried: Backtest,
    /// Warnings about the text.
    warnings: Vec<Problem>,
}

/// `POST /api/v1/backtest`.
pub(super) async fn backtest(
    Shared(admin): Shared<Arc<Admin>>,
    Given(request): Given<BacktestRequest>,
) -> Result<Json<BacktestAnswer>, Declined> {
    let hours = request.hours.unwrap_or(HOURS_MAX);
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(Refusal::bad(format!(
            "`hours` is {hours}, expected 1 to {HOURS_MAX}: matches are kept no longer"
        ))
        .into());
    }
    let (tried, warnings) = trying::backtest(&admin, request.rule, request.text, hours).await?;
    Ok(Json(BacktestAnswer { tried, warnings }))
}

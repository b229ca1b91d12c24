//! Rules tried on lines, for the API and the page: one request at a time, on a thread of its own, for so long and no longer.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response as Described};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::Admin;
use super::answer::Refusal;
use crate::batch::{Labels, Stream};
use crate::recent::Recent;
use crate::rules::{Problem, RuleSet, Selector, Test};
use crate::time::{Timestamp, WallClock};
use crate::trial::{
    self, Asked, Backtest, Explanation, GoOn, Material, Terms, TooLong, Written, with_text,
};

/// Lines that rules are asked about at once.
pub(super) const LINES_MAX: usize = 200;
/// Size of a request that tries rules.
pub(super) const BODY_BYTES_MAX: usize = 256 << 10;
/// How long a request waits for the one before it.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// How long rules are tried.
const TRY_WITHIN: Duration = Duration::from_secs(10);
/// Recorded matches that a backtest plays: those of the rule itself, and the newest of all.
const OWN_MATCHES_MAX: usize = 12_000;
const ALL_MATCHES_MAX: usize = 8_000;
/// Recent lines that a backtest plays beside them.
const RECENT_MAX: usize = 5_000;
/// How far a backtest looks back, in hours: as long as matches are kept.
pub(super) const HOURS_MAX: u8 = 72;

/// What rules are tried with.
pub struct Trying {
    terms: watch::Receiver<Arc<Terms>>,
    recent: Option<Arc<Recent>>,
    clock: WallClock,
    turn: Arc<Semaphore>,
}

impl fmt::Debug for Trying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trying").finish_non_exhaustive()
    }
}

/// Why rules were not tried.
#[derive(Debug)]
pub(super) enum Declined {
    /// The request.
    Refusal(Refusal),
    /// Rules that came with it.
    Rules(Vec<Problem>),
}

impl From<Refusal> for Declined {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<TooLong> for Declined {
    fn from(error: TooLong) -> Self {
        Self::Refusal(Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            why: format!(
                "{error}; fewer lines, or one rule, take less than {} s",
                TRY_WITHIN.as_secs()
            ),
        })
    }
}

/// Why rules were not tried.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Declined")]
pub(super) struct DeclinedView {
    /// What was wrong, and what would be right.
    error: String,
    /// What is wrong with rules that came along, as `trommel check` says it.
    problems: Vec<Problem>,
}

impl IntoResponse for Declined {
    fn into_response(self) -> Response {
        match self {
            Self::Refusal(refusal) => refusal.into_response(),
            Self::Rules(problems) => {
                let view = DeclinedView {
                    error: "the rules are wrong; `problems` says where".to_owned(),
                    problems,
                };
                (StatusCode::UNPROCESSABLE_ENTITY, Json(view)).into_response()
            }
        }
    }
}

impl OperationOutput for Declined {
    type Inner = DeclinedView;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<Described> {
        Json::<DeclinedView>::operation_response(ctx, operation)
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<aide::openapi::StatusCode>, Described)> {
        let refused = Refusal::inferred_responses(ctx, operation);
        let rules = Self::operation_response(ctx, operation);
        let status = Some(aide::openapi::StatusCode::Code(422));
        let rules = rules.map(|described| (status, described));
        refused.into_iter().chain(rules).collect()
    }
}

/// Lines that rules are to be asked about.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) lines: Vec<String>,
    pub(super) labels: Labels,
    pub(super) tenant: String,
    pub(super) rule: Option<String>,
    /// Rules to be asked beside those in use.
    pub(super) text: Option<String>,
}

impl Trying {
    /// Tries rules by `terms`, on lines of `recent` where they are kept, by `clock`.
    #[must_use]
    pub fn new(
        terms: watch::Receiver<Arc<Terms>>,
        recent: Option<Arc<Recent>>,
        clock: WallClock,
    ) -> Self {
        Self {
            terms,
            recent,
            clock,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Of a trommel without rules and lines.
    #[cfg(test)]
    pub(super) fn without_rules() -> Self {
        let config = crate::config::RawConfig {
            builtin: Some(false),
            ..crate::config::RawConfig::default()
        };
        let config = crate::config::Config::check(config).expect("nothing is wrong");
        let terms = Arc::new(Terms::of(&config));
        let recent = Recent::new(1 << 20, terms.redactor.clone());
        let clock: WallClock = Arc::new(|| Timestamp::from_parts(1_790_000_000, 0));
        Self::new(watch::channel(terms).1, Some(Arc::new(recent)), clock)
    }

    /// Lines that came lately, where they are kept.
    pub(super) fn recent(&self) -> Option<&Recent> {
        self.recent.as_deref()
    }

    /// The wall clock.
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Does `work` when it is its turn, on a thread where it may take its time.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Terms, GoOn<'_>) -> Result<T, Declined> + Send + 'static,
    ) -> Result<T, Declined> {
        let busy = || Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            why: "somebody else is trying rules; try again".to_owned(),
        };
        let turn = timeout(TURN_WITHIN, Arc::clone(&self.turn).acquire_owned()).await;
        let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let terms = Arc::clone(&self.terms.borrow());
        let tried = tokio::task::spawn_blocking(move || {
            // Whoever asked may go; the next one waits for the end all the same.
            let _turn = turn;
            let began = Instant::now();
            work(&terms, &|| began.elapsed() < TRY_WITHIN)
        });
        tried.await.unwrap_or_else(|_| {
            let why = "trommel itself failed over it, which is a bug; the log tells where";
            Err(Refusal::broken(why).into())
        })
    }
}

/// The lines of a text: as many as it has, without those that are empty.
pub(super) fn lines_of(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(str::to_owned).collect()
}

/// Labels as people write them: `app=api, namespace="x"`.
pub(super) fn labels_of(text: &str) -> Result<Labels, Refusal> {
    let selector = Selector::read(text).map_err(|why| Refusal::bad(format!("labels: {why}")))?;
    let pairs = selector.0.into_iter().map(|matcher| match matcher.test {
        Test::Equal(value) => Ok((Box::from(matcher.name), Box::from(value))),
        _ => Err(Refusal::bad(format!(
            "labels: `{matcher}` is no label with its value; write {}=…",
            matcher.name
        ))),
    });
    Ok(Labels::new(pairs.collect::<Result<Vec<_>, _>>()?))
}

/// What the rules in use, with those that came along, make of lines.
pub(super) async fn explain(admin: &Admin, question: Question) -> Result<Explanation, Declined> {
    let Question {
        lines,
        labels,
        tenant,
        rule,
        text,
    } = question;
    if lines.is_empty() {
        return Err(Refusal::bad("there is no line to try; give some in `lines` or `text`").into());
    }
    if lines.len() > LINES_MAX {
        let count = lines.len();
        return Err(Refusal::bad(format!(
            "{count} lines are more than the {LINES_MAX} that are tried at once"
        ))
        .into());
    }
    let in_use = Arc::clone(&admin.rules.borrow());
    let now = admin.trying.now();
    admin
        .trying
        .in_turn(move |terms, go_on| {
            let rules = match text.filter(|text| !text.trim().is_empty()) {
                Some(text) => with_text(terms, &text).map_err(Declined::Rules)?.rules,
                None => in_use,
            };
            if let Some(id) = &rule
                && rules.find(id).is_none()
            {
                return Err(no_rule(&rules, id).into());
            }
            let asked = Asked {
                stream: Arc::new(Stream::new(Arc::from(tenant), labels)),
                lines,
                rule,
            };
            Ok(trial::explain(&rules, terms, &asked, now, go_on)?)
        })
        .await
}

/// What the rule `id` would have done in the last `hours`, were it written as in `text`; with warnings about that.
pub(super) async fn backtest(
    admin: &Admin,
    id: String,
    text: String,
    hours: u8,
) -> Result<(Backtest, Vec<Problem>), Declined> {
    let in_use = Arc::clone(&admin.rules.borrow());
    if in_use.find(&id).is_none() {
        return Err(no_rule(&in_use, &id).into());
    }
    let now = admin.trying.now();
    let since = now.minus(Duration::from_secs(3600 * u64::from(hours)));
    let asked = id.clone();
    let material = admin.archive.ask(move |reader| {
        let mut matches = reader.matches(Some(&asked), since, OWN_MATCHES_MAX)?;
        let all = reader.matches(None, since, ALL_MATCHES_MAX)?;
        let is_whole = matches.len() < OWN_MATCHES_MAX && all.len() < ALL_MATCHES_MAX;
        matches.extend(all);
        Ok(Material {
            matches,
            coverage: reader.coverage(&asked, since)?,
            is_whole,
            recent: Vec::new(),
        })
    });
    let mut material = material.await.map_err(Refusal::from)?;
    if let Some(recent) = admin.trying.recent() {
        material.recent = recent.lines(&Selector::default(), RECENT_MAX);
        material.recent.retain(|line| line.at >= since);
    }
    let work = move |terms: &Terms, go_on: GoOn<'_>| {
        let Written {
            rules,
            ids,
            warnings,
        } = with_text(terms, &text).map_err(Declined::Rules)?;
        if ids.is_empty() {
            return Err(Refusal::bad("the text has no rule that is on here").into());
        }
        let (before, after) = ((&in_use, &*id), (&rules, &*ids));
        let tried = trial::backtest(terms, material, before, after, now, go_on)?;
        Ok((tried, warnings))
    };
    admin.trying.in_turn(work).await
}

/// The rule `id` as a text to be changed; nothing where that cannot be had.
pub(super) async fn text_of(admin: &Admin, id: String) -> Result<Option<String>, Declined> {
    let in_use = Arc::clone(&admin.rules.borrow());
    let work = move |terms: &Terms, _: GoOn<'_>| Ok(trial::text_of(terms, &in_use, &id));
    admin.trying.in_turn(work).await
}

fn no_rule(rules: &RuleSet, id: &str) -> Refusal {
    let meant = rules.meant(id);
    let hint = meant.map(|meant| format!("; did you mean `{meant}`?"));
    Refusal::missing(format!(
        "no rule has the id `{id}`{}",
        hint.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests;

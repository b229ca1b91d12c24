//! Silences over HTTP: the list, a new one, the end of one.

use std::sync::Arc;
use std::time::Duration;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response as Described, StatusCode as DescribedStatus};
use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::silence::{FindingKey, Only, Scope, Silence, SilenceError, Wanted};
use crate::time::{Timestamp, parse_duration};
use crate::web::Admin;
use crate::web::answer::{Given, Id, Query, Refusal};
use crate::web::visitor::Author;

/// A silence that is wanted: of the key of a `finding`, or of a `rule` where `matchers` match.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct NewSilence {
    /// Id of a finding: it, and all others of its rule and key.
    pub(in crate::web) finding: Option<String>,
    /// Id of a rule in use.
    pub(in crate::web) rule: Option<String>,
    /// Which findings of the rule, by their `resource_scope`, as in a selector of Loki: `{namespace="shop", component=~"db|cache"}`. Without it all.
    pub(in crate::web) matchers: Option<String>,
    /// For how long, from a minute to thirty days, such as `90m` or `2d`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("pattern" = "^[0-9]"))]
    pub(in crate::web) duration: Duration,
    /// Why.
    #[serde(default)]
    #[schemars(required, extend("minLength" = 1))]
    pub(in crate::web) reason: String,
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text).map_err(|error| de::Error::custom(error.to_string()))
}

/// Why a silence is ended.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct EndQuery {
    /// In words.
    #[serde(default)]
    pub(in crate::web) reason: String,
}

/// A silence, and whether it goes on.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SilenceAnswer")]
pub(super) struct Answer {
    /// `active` or `ended`.
    state: Standing,
    #[serde(flatten)]
    silence: Silence,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Standing {
    Active,
    Ended,
}

/// All silences.
#[derive(Serialize, JsonSchema)]
pub(super) struct Silences {
    /// Those that go on, and those that ended in the last day; the one that ends last first.
    silences: Vec<Answer>,
}

/// An answer that something is there now that was not.
pub(super) struct Created(Answer);

impl IntoResponse for Created {
    fn into_response(self) -> Response {
        let place = format!("/api/v1/silences/{}", self.0.silence.id);
        (
            StatusCode::CREATED,
            [(header::LOCATION, place)],
            Json(self.0),
        )
            .into_response()
    }
}

impl OperationOutput for Created {
    type Inner = Answer;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<Described> {
        Json::<Answer>::operation_response(ctx, operation)
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<DescribedStatus>, Described)> {
        let described = Self::operation_response(ctx, operation);
        let described = described.map(|it| (Some(DescribedStatus::Code(201)), it));
        described.into_iter().collect()
    }
}

impl Answer {
    fn new(silence: Silence, now: Timestamp) -> Self {
        let state = match silence.until > now {
            true => Standing::Active,
            false => Standing::Ended,
        };
        Self { state, silence }
    }
}

impl From<SilenceError> for Refusal {
    fn from(error: SilenceError) -> Self {
        Self {
            status: match error {
                SilenceError::Unclear(_) => StatusCode::BAD_REQUEST,
                SilenceError::Full => StatusCode::CONFLICT,
                SilenceError::Unknown(_) => StatusCode::NOT_FOUND,
            },
            why: error.to_string(),
        }
    }
}

/// `GET /api/v1/silences`.
pub(super) async fn list(Shared(admin): Shared<Arc<Admin>>) -> Result<Json<Silences>, Refusal> {
    let now = (admin.clock)();
    let silences = admin.archive.ask(|reader| reader.silences()).await?;
    let silences = silences.into_iter().map(|it| Answer::new(it, now));
    Ok(Json(Silences {
        silences: silences.collect(),
    }))
}

/// `POST /api/v1/silences`.
pub(super) async fn create(
    Shared(admin): Shared<Arc<Admin>>,
    author: Author,
    Given(wanted): Given<NewSilence>,
) -> Result<Created, Refusal> {
    let silence = silence(&admin, &author, wanted).await?;
    Ok(Created(Answer::new(silence, (admin.clock)())))
}

/// `DELETE /api/v1/silences/{id}`.
pub(super) async fn delete(
    Shared(admin): Shared<Arc<Admin>>,
    author: Author,
    Path(Id { id }): Path<Id>,
    Query(EndQuery { reason }): Query<EndQuery>,
) -> Result<Json<Answer>, Refusal> {
    let silence = end_silence(&admin, &author, id, reason).await?;
    Ok(Json(Answer::new(silence, (admin.clock)())))
}

/// Makes a silence of what is there to be silent.
pub(in crate::web) async fn silence(
    admin: &Admin,
    author: &Author,
    wanted: NewSilence,
) -> Result<Silence, Refusal> {
    let NewSilence {
        finding,
        rule,
        matchers,
        duration,
        reason,
    } = wanted;
    let scope = match (finding, rule) {
        (Some(_), None) if matchers.is_some() => {
            return Err(Refusal::bad(
                "`matchers` are for a `rule`: a `finding` has its key",
            ));
        }
        (Some(id), None) => scope_of(admin, id).await?,
        (None, Some(rule)) => Scope {
            rule,
            only: matchers.map(Only::Matchers),
        },
        _ => return Err(Refusal::bad("expected either `finding` or `rule`")),
    };
    let wanted = Wanted {
        scope,
        lasts: duration,
        who: author.name().to_owned(),
        reason,
    };
    wanted.check()?;
    let id = &wanted.scope.rule;
    if admin.rules.borrow().find(id).is_none() {
        return Err(Refusal::missing(format!("no rule `{id}` is in use")));
    }
    Ok(admin.acts.silence(wanted).await??)
}

/// What has the rule and the key of the finding `id`.
async fn scope_of(admin: &Admin, id: String) -> Result<Scope, Refusal> {
    let finding = super::finding_of(&super::told(admin, id).await?.finding)?;
    Ok(Scope {
        rule: finding.rule.id,
        only: Some(Only::Key(FindingKey {
            finding_key: finding.finding_key,
            dedupe_key: finding.dedupe_key,
        })),
    })
}

/// Ends a silence before its time.
pub(in crate::web) async fn end_silence(
    admin: &Admin,
    author: &Author,
    id: String,
    reason: String,
) -> Result<Silence, Refusal> {
    let who = author.name().to_owned();
    Ok(admin.acts.end_silence(id, who, reason).await??)
}

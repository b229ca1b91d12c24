//! How requests are read and refused.

use std::time::Duration;

use aide::openapi::{Operation, ParameterSchemaOrContent, Response as Described};
use aide::{OperationInput, OperationOutput, generate::GenContext};
use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::acts::ActError;
use crate::record::ArchiveError;

/// Why a request has no answer.
#[derive(Debug)]
pub(super) struct Refusal {
    /// A status that is no success.
    pub(super) status: StatusCode,
    /// What to tell whoever asked.
    pub(super) why: String,
}

/// Why a request has no answer, or was refused.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct Failure {
    /// What was wrong, and what would be right.
    error: String,
}

impl Refusal {
    /// Of a request that is not understood.
    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            why: why.into(),
        }
    }

    /// Of a question for what is not there.
    pub(super) fn missing(why: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            why: why.into(),
        }
    }

    /// Of a question that this program should have an answer to.
    pub(super) fn broken(why: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            why: why.into(),
        }
    }
}

impl From<ArchiveError> for Refusal {
    fn from(error: ArchiveError) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            why: error.to_string(),
        }
    }
}

impl From<ActError> for Refusal {
    fn from(error: ActError) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            why: error.to_string(),
        }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        // What all of them begin with says nothing to whoever wrote the address.
        let why = text.strip_prefix("Failed to deserialize query string: ");
        Self::bad(why.unwrap_or(&text))
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        let text = rejection.body_text();
        let why = text.strip_prefix("Failed to deserialize the JSON body into the target type: ");
        Self {
            // 422 is for what was understood, and is wrong.
            status: match rejection.status() {
                StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                status => status,
            },
            why: why.unwrap_or(&text).to_owned(),
        }
    }
}

impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        Self {
            status: rejection.status(),
            why: rejection.body_text(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(Failure { error: self.why })).into_response()
    }
}

impl OperationOutput for Refusal {
    type Inner = Failure;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<Described> {
        Json::<Failure>::operation_response(ctx, operation)
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<aide::openapi::StatusCode>, Described)> {
        let described = Self::operation_response(ctx, operation);
        // Without a status it is any that is not named.
        described
            .map(|described| (None, described))
            .into_iter()
            .collect()
    }
}

/// What stands behind the `?`. Unknown parameters are refused where `T` denies them.
pub(super) struct Query<T>(pub(super) T);

/// The parameter that may be given several times.
const REPEATED: &str = "label";
/// Stands between values of a parameter that was given several times, where they are read: there as one text.
pub(super) const BETWEEN: char = '\u{1f}';

/// Several values of [`REPEATED`] as one.
fn joined(query: &str) -> Option<String> {
    let pairs = || form_urlencoded::parse(query.as_bytes());
    let values: Vec<_> = pairs()
        .filter(|(name, _)| name == REPEATED)
        .map(|(_, value)| value)
        .collect();
    if values.len() < 2 {
        return None;
    }
    let mut joined = form_urlencoded::Serializer::new(String::new());
    joined.extend_pairs(pairs().filter(|(name, _)| name != REPEATED));
    joined.append_pair(REPEATED, &values.join(&BETWEEN.to_string()));
    Some(joined.finish())
}

/// Reads what stands behind the `?` of an address.
pub(super) fn read_query<T: DeserializeOwned>(query: &str) -> Result<T, Refusal> {
    let joined = joined(query);
    let query = joined.as_deref().unwrap_or(query);
    let uri: Uri = format!("/?{query}")
        .parse()
        .map_err(|_| Refusal::bad("the parameters are no part of an address"))?;
    let axum::extract::Query(read) = axum::extract::Query::try_from_uri(&uri)?;
    Ok(read)
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        read_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        axum::extract::Query::<T>::operation_input(ctx, operation);
        for parameter in &mut operation.parameters {
            // What may be left out has no default to be sent instead, least of all null.
            if let Some(parameter) = parameter.as_item_mut()
                && let ParameterSchemaOrContent::Schema(schema) =
                    &mut parameter.parameter_data_mut().format
                && schema.json_schema.get("default") == Some(&serde_json::Value::Null)
            {
                schema.json_schema.remove("default");
            }
        }
    }
}

/// Most bytes of a body where a route has no other limit: a rule file of the largest size, and what it takes to write it as JSON or as a form.
pub(super) const BODY_BYTES_MAX: usize = 2 << 20;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What `read` gives, which waits for the body of a request; refused when that takes too long.
pub(super) async fn arrived<T, R>(read: impl Future<Output = Result<T, R>>) -> Result<T, Refusal>
where
    Refusal: From<R>,
{
    let read = timeout(BODY_TIMEOUT, read).await;
    let read = read.map_err(|_| Refusal {
        status: StatusCode::REQUEST_TIMEOUT,
        why: format!(
            "the body took longer than {} s to arrive",
            BODY_TIMEOUT.as_secs()
        ),
    })?;
    Ok(read?)
}

/// Refuses a body that does not say that it is of the media type `wanted`: a page can have a browser send some types elsewhere without asking.
pub(super) fn check_type(request: &Request, wanted: &str) -> Result<(), Refusal> {
    let given = request.headers().get(header::CONTENT_TYPE);
    let given = given.map_or("", |value: &HeaderValue| {
        value.to_str().unwrap_or("unreadable")
    });
    let media_type = given.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(Refusal {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        why: format!("the body is `{given}`, expected `{wanted}`"),
    })
}

/// The JSON in a request's body, of at most [`BODY_BYTES_MAX`] unless its route has another limit. Where something changes, ask for the
/// [`Author`](super::visitor::Author) before it, so that nothing is read of those who may not.
#[derive(Debug)]
pub(super) struct Given<T>(pub(super) T);

impl<S: Sync + Send, T: DeserializeOwned> FromRequest<S> for Given<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        check_type(&request, "application/json")?;
        let Json(given) = arrived(Json::from_request(request, state)).await?;
        Ok(Self(given))
    }
}

impl<T: JsonSchema> OperationInput for Given<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        Json::<T>::operation_input(ctx, operation);
    }
}

/// The one part of a path that is not fixed.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Id {
    /// Which one.
    pub(super) id: String,
}

//! Which path is answered by what, and what all answers have in common.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::time::timeout;
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use super::answer::{BODY_BYTES_MAX, Refusal};
use super::visitor::{Caller, FormKey, Visitor};
use super::{Admin, api, assets, events, page};
use crate::access::{Gate, Peer};
use crate::audit::{Deed, What};
use crate::reload::ReloadError;

/// How long a reload may take before who asked for it is told that it goes on.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that the admin listener answers, for whom `gate` lets in.
pub(super) fn router(admin: Arc<Admin>, gate: Arc<Gate>) -> Router {
    let probes = Router::new()
        .route("/livez", get("ok\n"))
        .route("/readyz", get(readyz));
    Router::new()
        .route("/", get(front))
        .route("/metrics", get(metrics))
        .route("/-/reload", post(reload))
        .route("/assets/{hash}/{name}", get(asset))
        .merge(events::router())
        .merge(page::router())
        .merge(api::router())
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(only_if_new))
        .layer(middleware::from_fn_with_state(
            (gate, Arc::new(FormKey::new())),
            admit,
        ))
        // Probes of Kubernetes have no secrets to show.
        .merge(probes)
        .layer(middleware::from_fn(cautiously))
        .with_state(admin)
}

/// Whom the gate does not let in sees nothing of what is behind it; of others it is known from here on who they are.
async fn admit(
    State((gate, forms)): State<(Arc<Gate>, Arc<FormKey>)>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    match gate.judge(&peer, request.headers()) {
        Ok(identity) => {
            let visitor = Visitor::new(&peer, identity, gate.asks_anything(), forms);
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err(refusal) => gate.answer(refusal).map(Body::new),
    }
}

/// Findings quote logs: a browser must not guess that they are a page, and no cache keeps them.
async fn cautiously(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Marks answers of the API with a tag of what is in them; who shows the tag of what would be said again is told just that.
async fn only_if_new(request: Request, next: Next) -> Response {
    let known: HeaderMap = request.headers().clone();
    let response = next.run(request).await;
    let is_json = response.headers().get(header::CONTENT_TYPE)
        == Some(&HeaderValue::from_static("application/json"));
    if response.status() != StatusCode::OK || !is_json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let tag = format!("\"{:016x}\"", xxh3_64(&body));
    let is_known = known
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag));
    let tag = HeaderValue::from_str(&tag).expect("hex digits");
    parts.headers.insert(header::ETAG, tag);
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(body))
}

async fn nowhere() -> impl IntoResponse {
    let text = "not found; `/` lists what there is\n";
    (StatusCode::NOT_FOUND, text)
}

async fn not_so() -> impl IntoResponse {
    let text = "this path is not for that method; `allow` says for which\n";
    (StatusCode::METHOD_NOT_ALLOWED, text)
}

async fn readyz(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    match *admin.ready.borrow() {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping\n"),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS)], admin.telemetry.render())
}

/// Has files read anew, as with Prometheus and its relatives, and says what came of it.
async fn reload(
    State(admin): State<Arc<Admin>>,
    caller: Result<Caller, Refusal>,
) -> (StatusCode, String) {
    let caller = match caller {
        Ok(Caller(visitor)) => visitor,
        Err(Refusal { status, why }) => return (status, format!("{why}\n")),
    };
    match timeout(RELOAD_TIMEOUT, admin.reloads.reload()).await {
        Ok(Ok(in_use)) => {
            let deed = Deed {
                who: caller.name().to_owned(),
                what: What::Reloaded,
                target: String::new(),
                reason: String::new(),
                diff: in_use.clone(),
            };
            // The files are in use, whether that is written down or not.
            if let Err(error) = admin.acts.record(deed).await {
                warn!(%error, "a reload is not written down");
            }
            (StatusCode::OK, in_use)
        }
        Ok(Err(ReloadError::Refused(why))) => {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n"))
        }
        Ok(Err(ReloadError::Stopping)) => {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned())
        }
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "it takes long and goes on; the log says what comes of it\n".to_owned(),
        ),
    }
}

/// Its path changes with what is in it, so it may be kept for as long as anybody likes.
async fn asset(Path((_, name)): Path<(String, String)>) -> Response {
    let Some(asset) = assets::named(&name) else {
        return nowhere().await.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (
            header::CACHE_CONTROL,
            "private, max-age=31536000, immutable",
        ),
    ];
    (headers, Bytes::from_static(asset.text.as_bytes())).into_response()
}

/// For a browser the overview; for whoever does not say that they take pages, the list of paths.
async fn front(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if wants_page {
        return page::overview(State(admin)).await.into_response();
    }
    let ready = match *admin.ready.borrow() {
        true => "ready",
        false => "not ready",
    };
    let rules = admin.rules.borrow().rules.len();
    format!(
        "trommel {version}: {ready}, {rules} rules\n\
         \n\
         /metrics             measurements for Prometheus\n\
         /livez               200 while the process runs\n\
         /readyz              200 until it is told to stop\n\
         /api/v1/status       how it stands: open findings, tee, NATS, rules, disk\n\
         /api/v1/findings     findings, newest change first\n\
         /api/v1/findings/ID  one of them with its timeline\n\
         /api/v1/kinds        what there are findings of, to choose from\n\
         /api/v1/history      what was measured, minute by minute, for a day\n\
         /api/v1/rules        rules in use, and what newer ones were refused for\n\
         /api/v1/rules/ID     one of them: what is written, and what its examples say\n\
         /api/v1/check        POST says what a change of rules would do\n\
         /api/v1/silences     what is silent; POST makes a silence, DELETE of one ends it\n\
         /api/v1/audit        who changed what, the newest first\n\
         /api/v1/lines        lines that came lately\n\
         /api/v1/explain      POST says which rules match lines, and why others do not\n\
         /api/v1/backtest     POST says what a changed rule would have opened\n\
         /api/v1/config       what newer settings were refused for, and which want a restart\n\
         {DESCRIPTION} all of the API, and what its parameters are\n\
         /-/reload            POST reads rules and settings anew\n",
        version = env!("CARGO_PKG_VERSION"),
        DESCRIPTION = api::DESCRIPTION,
    )
    .into_response()
}

#[cfg(test)]
mod tests;

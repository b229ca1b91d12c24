//! The API: whatever the page shows, for programs; described at [`DESCRIPTION`] by what its handlers take and give.

mod audit;
mod findings;
mod rules;
mod silences;

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with};
use aide::openapi::{Info, OpenApi};
use axum::Json;
use axum::routing::get;
use axum::{Extension, Router};

use super::Admin;

pub(super) use audit::{AuditQuery, audit_page};
pub(super) use findings::{FindingsQuery, page_of, told};
pub use rules::rule_list;
pub(super) use silences::{EndQuery, NewSilence, end_silence, silence};

/// Where the OpenAPI document is.
pub(super) const DESCRIPTION: &str = "/api/v1/openapi.json";

/// All of the API.
pub(super) fn router() -> Router<Arc<Admin>> {
    let mut described = OpenApi {
        info: Info {
            title: "trommel".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: Some(
                "What trommel found, with which rules, and how it stands. Everything the page shows comes from here.".to_owned(),
            ),
            ..Info::default()
        },
        ..OpenApi::default()
    };
    let routes = ApiRouter::new()
        .api_route(
            "/api/v1/findings",
            get_with(findings::list, |it| {
                it.summary("Findings, the newest change first")
            }),
        )
        .api_route(
            "/api/v1/findings/{id}",
            get_with(findings::one, |it| {
                it.summary("One finding with its timeline")
            }),
        )
        .api_route(
            "/api/v1/rules",
            get_with(rules::rules, |it| {
                it.summary("The rules in use, and what newer ones were refused for")
            }),
        )
        .api_route(
            "/api/v1/audit",
            get_with(audit::list, |it| {
                it.summary("What people changed, the newest first")
            }),
        )
        .api_route(
            "/api/v1/silences",
            get_with(silences::list, |it| {
                it.summary("Silences, and those that ended in the last day")
            })
            .post_with(silences::create, |it| {
                it.summary("Hold back messages of a finding or a rule for a time")
            }),
        )
        .api_route(
            "/api/v1/silences/{id}",
            delete_with(silences::delete, |it| {
                it.summary("End a silence before its time")
            }),
        )
        .api_route(
            "/api/v1/config",
            get_with(rules::config, |it| {
                it.summary("What newer settings were refused for, and which want a restart")
            }),
        );
    let routes = routes.finish_api(&mut described);
    routes
        .route(DESCRIPTION, get(description))
        .layer(Extension(Arc::new(described)))
}

async fn description(Extension(described): Extension<Arc<OpenApi>>) -> Json<Arc<OpenApi>> {
    Json(described)
}

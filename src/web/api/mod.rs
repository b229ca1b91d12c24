//! The API: whatever the page shows, for programs; described at [`DESCRIPTION`] by what its handlers take and give.

mod audit;
pub(super) mod check;
mod findings;
mod history;
mod kinds;
pub(super) mod rule;
mod rules;
mod silences;
mod status;
mod trying;

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, post_with};
use aide::openapi::{Info, OpenApi};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use bytes::Bytes;
use hyper::header::CONTENT_TYPE;

use super::Admin;
use super::trying::BODY_BYTES_MAX;

pub(super) use audit::{AuditQuery, audit_page};
pub(super) use findings::{FindingsQuery, finding_of, page_of, told};
pub use rules::rule_list;
pub(super) use rules::{RuleActivity, activity};
pub(super) use silences::{EndQuery, NewSilence, end_silence, silence};
pub(super) use status::{Blindness, Survey};

/// Where the OpenAPI document is.
pub(super) const DESCRIPTION: &str = "/api/v1/openapi.json";

/// All of the API.
pub(super) fn router() -> Router<Arc<Admin>> {
    let (routes, described) = routes();
    // As it is sent: a tenth of what its tree takes.
    let json = serde_json::to_vec(&described).expect("a description is JSON");
    let answer = ([(CONTENT_TYPE, "application/json")], Bytes::from(json));
    routes.route(DESCRIPTION, get(answer))
}

/// The OpenAPI document: what `/api/v1/openapi.json` answers.
///
/// # Panics
/// Never: what describes an API is JSON.
#[must_use]
pub fn openapi() -> serde_json::Value {
    let (_, described) = routes();
    serde_json::to_value(described).expect("a description is JSON")
}

fn routes() -> (Router<Arc<Admin>>, OpenApi) {
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
            "/api/v1/status",
            get_with(status::status, |it| {
                it.summary("How trommel stands: what is open, whether everything is seen, NATS, rules and disk")
            }),
        )
        .api_route(
            "/api/v1/history",
            get_with(history::history, |it| {
                it.summary("What was measured in each minute of the last day")
            }),
        )
        .api_route(
            "/api/v1/kinds",
            get_with(kinds::kinds, |it| {
                it.summary("What there are findings of: domains, incident types and rules")
            }),
        )
        .api_route(
            "/api/v1/rules",
            get_with(rules::rules, |it| {
                it.summary("The rules in use, and what newer ones were refused for")
            })
            .post_with(check::post_rule, |it| {
                it.summary("Adds a rule to a file, where rule files can be changed here")
            }),
        )
        .api_route(
            "/api/v1/rules/{id}",
            get_with(rule::one, |it| {
                it.summary("One rule: what it says, where, and what its examples say")
            })
            .put_with(check::put_rule, |it| {
                it.summary("Changes keys of a rule, where rule files can be changed here")
            }),
        )
        .api_route(
            "/api/v1/rules/{id}/tests",
            get_with(rule::tests, |it| {
                it.summary("Runs the tests beside the rules that name a rule")
            }),
        )
        .api_route(
            "/api/v1/rule-files/{id}",
            get_with(check::get_file, |it| it.summary("One rule file"))
                .put_with(check::put_file, |it| {
                    it.summary("Changes a rule file, where rule files can be changed here")
                }),
        )
        .api_route(
            "/api/v1/check",
            post_with(check::check, |it| {
                it.summary(
                    "What is wrong with a change of rules, and what it changes; saves nothing",
                )
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
            "/api/v1/lines",
            get_with(trying::lines, |it| it.summary("Lines that came lately")),
        )
        .api_route(
            "/api/v1/explain",
            post_with(trying::explain, |it| {
                it.summary("Which rules match lines, and why others do not")
            })
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX)),
        )
        .api_route(
            "/api/v1/backtest",
            post_with(trying::backtest, |it| {
                it.summary("What a changed rule would have opened over recorded matches")
            })
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX)),
        )
        .api_route(
            "/api/v1/config",
            get_with(rules::config, |it| {
                it.summary("What newer settings were refused for, and which want a restart")
            }),
        );
    let routes = routes.finish_api(&mut described);
    // The thread would keep the schemas of all types, which nobody asks for again.
    aide::generate::reset_context();
    (routes, described)
}

//! What there are findings of: the choices of whoever looks for some.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::record::KindRow;
use crate::web::Admin;
use crate::web::answer::Refusal;

/// `/api/v1/kinds`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Kinds {
    /// Each once, in order; at most 1000.
    kinds: Vec<Kind>,
}

/// What findings have in common.
#[derive(Debug, Serialize, JsonSchema)]
struct Kind {
    /// Taxonomy domain.
    domain: String,
    /// Taxonomy incident type.
    incident_type: String,
    /// The rule's id.
    rule: String,
}

/// `GET /api/v1/kinds`.
pub(super) async fn kinds(State(admin): State<Arc<Admin>>) -> Result<Json<Kinds>, Refusal> {
    let rows = admin.archive.ask(|reader| reader.kinds()).await?;
    let kind = |row: KindRow| Kind {
        domain: row.domain,
        incident_type: row.incident_type,
        rule: row.rule,
    };
    Ok(Json(Kinds {
        kinds: rows.into_iter().map(kind).collect(),
    }))
}

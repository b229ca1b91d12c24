//! What people did over HTTP: the newest first, in pages.

use std::num::NonZeroU16;
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::{Entry, What};
use crate::record::{AuditFilter, Reader};
use crate::web::Admin;
use crate::web::answer::{Query, Refusal};
use crate::web::paging;

/// Which entries are asked for. What is not known is refused: a misspelt filter would show too much.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct AuditQuery {
    /// Only these deeds.
    pub(in crate::web) what: Option<What>,
    /// Only those to this: a rule's id, a silence's id.
    pub(in crate::web) target: Option<String>,
    /// Only those of this person.
    pub(in crate::web) who: Option<String>,
    /// Only those behind the page before: what its `next` said.
    after: Option<i64>,
    /// At most this many.
    #[serde(default, deserialize_with = "paging::limit")]
    #[schemars(with = "Option<u16>", range(min = 1, max = 500))]
    limit: Option<NonZeroU16>,
}

/// A page of entries.
#[derive(Serialize, JsonSchema)]
pub(super) struct Audit {
    /// The newest first.
    entries: Vec<Entry>,
    /// Where the next page begins, as the parameter `after`; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// `GET /api/v1/audit`.
pub(super) async fn list(
    Shared(admin): Shared<Arc<Admin>>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Audit>, Refusal> {
    let (entries, next) = audit_page(&admin, query).await?;
    Ok(Json(Audit { entries, next }))
}

/// A page of entries, and where the next one begins, if there is one.
pub(in crate::web) async fn audit_page(
    admin: &Admin,
    query: AuditQuery,
) -> Result<(Vec<Entry>, Option<i64>), Refusal> {
    let mut filter = AuditFilter {
        what: query.what,
        target: query.target,
        who: query.who,
        before: query.after,
        limit: 0,
    };
    let read = move |reader: &Reader, limit| {
        filter.limit = limit;
        reader.audit(&filter)
    };
    let limit = paging::entries(query.limit);
    let (rows, next) = paging::page(admin, limit, read, |row| row.place).await?;
    Ok((rows.into_iter().map(|row| row.entry).collect(), next))
}

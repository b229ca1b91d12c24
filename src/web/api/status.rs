//! How trommel stands: what is open, whether everything is seen, and what is between it and NATS, its disk and its rules.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use schemars::JsonSchema;
use serde::Serialize;

use super::rules::StandingView;
use crate::finding::State;
use crate::owner::Standing;
use crate::record::{FindingFilter, FindingRow, OpenCounts, Reader, StoreError};
use crate::reload;
use crate::rules::{DISK_FULL, OVERLOADED, TEE_SILENT};
use crate::time::Timestamp;
use crate::web::Admin;
use crate::web::answer::Refusal;

/// Most open findings about trommel itself that are read.
const OWN_MAX: usize = 100;

/// Findings about trommel itself that mean it may not have seen everything, the worst first.
const BLIND: [(&str, Blindness); 3] = [
    (TEE_SILENT, Blindness::NothingComes),
    (OVERLOADED, Blindness::NotInspected),
    (DISK_FULL, Blindness::NotKept),
];

/// In what way not everything is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::web) enum Blindness {
    /// Nothing is pushed.
    NothingComes,
    /// Some of what was pushed was not inspected.
    NotInspected,
    /// What is found is not on disk: a restart now would forget it.
    NotKept,
}

/// Everything that the status is made of.
pub(in crate::web) struct Survey {
    /// How many are open.
    pub(in crate::web) open: OpenCounts,
    /// Open findings about trommel itself.
    pub(in crate::web) own: Vec<FindingRow>,
    /// Database, outbox, NATS.
    pub(in crate::web) standing: Standing,
    /// Rules and settings.
    pub(in crate::web) files: reload::Status,
    /// Rules in use.
    pub(in crate::web) rules: usize,
}

/// That not everything is seen.
pub(in crate::web) struct Blind<'s> {
    /// In what way.
    pub(in crate::web) how: Blindness,
    /// Since when.
    pub(in crate::web) since: Timestamp,
    /// What says so.
    pub(in crate::web) finding: &'s FindingRow,
}

impl Survey {
    /// Looks at everything, with what `also` reads of the same moment.
    pub(in crate::web) async fn with<T: Send + 'static>(
        admin: &Admin,
        also: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(Self, T), Refusal> {
        let own = FindingFilter {
            state: Some(State::Open),
            own: Some(true),
            limit: OWN_MAX,
            ..FindingFilter::default()
        };
        let (open, own, also) = admin
            .archive
            .ask(move |reader| Ok((reader.open()?, reader.findings(&own)?, also(reader)?)))
            .await?;
        let survey = Self {
            open,
            own,
            standing: admin.standing.borrow().clone(),
            files: admin.status.borrow().clone(),
            rules: admin.rules.borrow().rules.len(),
        };
        Ok((survey, also))
    }

    /// Whether something is not seen: the worst of it.
    pub(in crate::web) fn blind(&self) -> Option<Blind<'_>> {
        BLIND.into_iter().find_map(|(rule, how)| {
            let finding = self.own.iter().find(|row| row.rule == rule)?;
            let opened = opened_at(finding);
            let since = match how {
                // The finding opens when the silence has lasted.
                Blindness::NothingComes => {
                    self.standing.pushed_at.map_or(opened, |at| at.min(opened))
                }
                _ => opened,
            };
            Some(Blind {
                how,
                since,
                finding,
            })
        })
    }
}

/// When a finding opened; when it changed, if it is not one of ours.
fn opened_at(row: &FindingRow) -> Timestamp {
    /// The one field.
    #[derive(serde::Deserialize)]
    struct Opened {
        observed_at: String,
    }
    let opened = serde_json::from_str::<Opened>(&row.body).ok();
    opened
        .and_then(|opened| opened.observed_at.parse().ok())
        .unwrap_or(row.changed_at)
}

/// `/api/v1/status`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StatusAnswer {
    /// Trommel's.
    version: &'static str,
    #[schemars(extend("format" = "date-time"))]
    started_at: String,
    /// False once it was told to stop.
    ready: bool,
    open: Open,
    tee: Tee,
    /// Null when findings do not go to NATS.
    nats: Option<Nats>,
    outbox: Outbox,
    rules: Rules,
    config: StandingView,
    disk: Disk,
}

/// How many findings are open.
#[derive(Debug, Serialize, JsonSchema)]
struct Open {
    critical: u64,
    warning: u64,
    info: u64,
    /// Those about trommel itself, which are in none of the others.
    about_trommel: u64,
}

/// Whether everything is seen that is logged.
#[derive(Debug, Serialize, JsonSchema)]
struct Tee {
    complete: bool,
    /// In what way it is not.
    blind: Option<Blindness>,
    /// Since when it is not.
    #[schemars(extend("format" = "date-time"))]
    blind_since: Option<String>,
    /// The finding that says so.
    finding_id: Option<String>,
    /// Null if nothing was since the start.
    #[schemars(extend("format" = "date-time"))]
    last_push_at: Option<String>,
}

/// The connection to NATS.
#[derive(Debug, Serialize, JsonSchema)]
struct Nats {
    connected: bool,
    /// Since when it is, or is not; null if it never was otherwise since the start.
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// When the server last confirmed a message since the start.
    #[schemars(extend("format" = "date-time"))]
    last_ack_at: Option<String>,
    /// Why nothing goes out, or some messages are held back.
    trouble: Option<String>,
}

/// Messages that wait.
#[derive(Debug, Serialize, JsonSchema)]
struct Outbox {
    messages: u64,
    bytes: u64,
    /// `outbox_bytes_max`: beyond it the oldest are dropped.
    bytes_max: u64,
    /// Since when the first in line waits.
    #[schemars(extend("format" = "date-time"))]
    waiting_since: Option<String>,
}

/// The rules in use.
#[derive(Debug, Serialize, JsonSchema)]
struct Rules {
    count: usize,
    #[serde(flatten)]
    standing: StandingView,
}

/// The database.
#[derive(Debug, Serialize, JsonSchema)]
struct Disk {
    /// Its file; null when it is in memory, and a restart forgets it.
    path: Option<String>,
    /// Bytes of it and of its log.
    bytes: u64,
    /// Bytes of findings and their timelines in it.
    findings_bytes: u64,
    /// `history_bytes_max`: beyond it findings that are over are forgotten.
    findings_bytes_max: u64,
    /// Why the last commit failed; null when it did not.
    commit_error: Option<String>,
}

fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

/// `GET /api/v1/status`.
pub(super) async fn status(
    Shared(admin): Shared<Arc<Admin>>,
) -> Result<Json<StatusAnswer>, Refusal> {
    let (survey, ()) = Survey::with(&admin, |_| Ok(())).await?;
    let blind = survey.blind();
    let Standing {
        started_at,
        pushed_at,
        database,
        sizes,
        limits,
        commit_error,
        waiting_since,
        nats,
        ..
    } = &survey.standing;
    Ok(Json(StatusAnswer {
        version: env!("CARGO_PKG_VERSION"),
        started_at: started_at.to_string(),
        ready: *admin.ready.borrow(),
        open: Open {
            critical: survey.open.critical,
            warning: survey.open.warning,
            info: survey.open.info,
            about_trommel: survey.open.own,
        },
        tee: Tee {
            complete: blind.is_none(),
            blind: blind.as_ref().map(|blind| blind.how),
            blind_since: text(blind.as_ref().map(|blind| blind.since)),
            finding_id: blind.as_ref().map(|blind| blind.finding.finding_id.clone()),
            last_push_at: text(*pushed_at),
        },
        nats: nats.as_ref().map(|nats| Nats {
            connected: nats.connected,
            since: text(nats.since),
            last_ack_at: text(nats.acked_at),
            trouble: nats.trouble.clone(),
        }),
        outbox: Outbox {
            messages: sizes.outbox_messages,
            bytes: sizes.outbox_bytes,
            bytes_max: limits.outbox_bytes_max,
            waiting_since: text(*waiting_since),
        },
        rules: Rules {
            count: survey.rules,
            standing: StandingView::from(&survey.files.rules),
        },
        config: StandingView::from(&survey.files.config),
        disk: Disk {
            path: database.as_ref().map(|path| path.display().to_string()),
            bytes: sizes.database_bytes,
            findings_bytes: sizes.history_bytes,
            findings_bytes_max: limits.history_bytes_max,
            commit_error: commit_error.clone(),
        },
    }))
}

//! Changes of rules: looked at as they are typed, and saved where a directory for that is configured.

use std::sync::Arc;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response as Described};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::rules::edit::Tree;
use crate::telemetry::RULE_SAVES_TOTAL;
use crate::web::Admin;
use crate::web::answer::{Given, Id, Refusal};
use crate::web::visitor::Author;
use crate::workshop::{Checked, Proposal, Refused};

/// What is to be checked: a file as it is typed, or keys of a rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct CheckRequest {
    /// The file: its name, or its path as problems name it. With `rule`, where a rule that ships is extended.
    file: Option<String>,
    /// All of the file's text, 256 KiB at most.
    text: Option<String>,
    /// Id of a rule whose `keys` are changed; without it and `text`, `keys` is a new rule.
    rule: Option<String>,
    /// Keys of the rule, with their values; null takes one away.
    keys: Option<Keys>,
}

/// A change to be saved.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct RuleChange {
    /// Keys of the rule, with their values; null takes one away.
    keys: Keys,
    /// Where a rule that ships is extended; `overrides.yaml` unless given.
    file: Option<String>,
    /// The `hash` that the file had when it was read; without it whatever is there is changed.
    hash: Option<String>,
    /// Why, for whoever reads later what was changed.
    reason: Option<String>,
}

/// A rule to be added.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct NewRule {
    /// The file that it goes to; made if it is not there.
    file: String,
    /// What it says, `id` or `extends` among it.
    keys: Keys,
    /// The `hash` that the file had when it was read; without it whatever is there is changed.
    hash: Option<String>,
    /// Why, for whoever reads later what was changed.
    reason: Option<String>,
}

/// A file to be saved.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct FileChange {
    /// All of its text, 256 KiB at most.
    text: String,
    /// The `hash` that the file had when it was read; `none` where there was none.
    hash: String,
    /// Why, for whoever reads later what was changed.
    reason: Option<String>,
}

/// Keys of a rule.
#[derive(Debug)]
pub(in crate::web) struct Keys(Vec<(String, Tree)>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Tree::deserialize(from)? {
            Tree::Map(entries) => Ok(Self(entries)),
            _ => Err(serde::de::Error::custom("`keys` is a map of a rule's keys")),
        }
    }
}

impl JsonSchema for Keys {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Keys".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object", "description": "Keys of a rule and their values, as `schema/rules/1.json` has them."})
    }
}

impl Keys {
    /// With nothing where a key is taken away.
    fn changes(self) -> Vec<(String, Option<Tree>)> {
        let given = |value| Some(value).filter(|value| *value != Tree::Nothing);
        let keys = self.0.into_iter();
        keys.map(|(key, value)| (key, given(value))).collect()
    }
}

/// A change that is on the disk.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(in crate::web) struct Saved {
    /// What was changed.
    pub(in crate::web) checked: Checked,
    /// What came of reading all files anew.
    pub(in crate::web) reload: String,
    /// Whether the rules are in use; otherwise those before go on, and `reload` says why.
    pub(in crate::web) in_use: bool,
}

/// Why a change is not saved.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::web) struct NotSaved {
    /// What is the matter.
    error: String,
    /// Where the file is not the one that was edited: what it is known by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    /// Where the file is not the one that was edited: from what it is now to what was to be saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    /// Where the rules would be refused: what is wrong with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    checked: Option<Box<Checked>>,
}

/// [`NotSaved`], as an answer.
#[derive(Debug)]
pub(in crate::web) struct Denied(Refused);

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        Self(refused)
    }
}

fn status(refused: &Refused) -> StatusCode {
    match refused {
        Refused::Bad(_) => StatusCode::BAD_REQUEST,
        Refused::Missing(_) => StatusCode::NOT_FOUND,
        Refused::ReadOnly(_) => StatusCode::FORBIDDEN,
        Refused::Conflict { .. } => StatusCode::CONFLICT,
        Refused::Wrong(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// How a save that came to nothing is counted.
fn outcome(refused: &Refused) -> &'static str {
    match refused {
        Refused::Bad(_) => "bad",
        Refused::Missing(_) => "missing",
        Refused::ReadOnly(_) => "read_only",
        Refused::Conflict { .. } => "conflict",
        Refused::Wrong(_) => "wrong",
        Refused::Failed(_) => "failed",
        Refused::Busy => "busy",
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self {
            status: status(&refused),
            why: refused.to_string(),
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let Self(refused) = self;
        let status = status(&refused);
        let mut told = NotSaved {
            error: refused.to_string(),
            hash: None,
            diff: None,
            checked: None,
        };
        match refused {
            Refused::Conflict { hash, diff, .. } => {
                (told.hash, told.diff) = (Some(hash), Some(diff));
            }
            Refused::Wrong(checked) => told.checked = Some(checked),
            _ => {}
        }
        (status, Json(told)).into_response()
    }
}

impl OperationOutput for Denied {
    type Inner = NotSaved;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<Described> {
        Json::<NotSaved>::operation_response(ctx, operation)
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<aide::openapi::StatusCode>, Described)> {
        let described = Self::operation_response(ctx, operation).into_iter();
        described.map(|described| (None, described)).collect()
    }
}

/// `POST /api/v1/check`.
pub(in crate::web) async fn check(
    State(admin): State<Arc<Admin>>,
    Given(asked): Given<CheckRequest>,
) -> Result<Json<Checked>, Refusal> {
    let proposal = match asked {
        CheckRequest {
            file: Some(file),
            text: Some(text),
            rule: None,
            keys: None,
        } => Proposal::Text { file, text },
        CheckRequest {
            file,
            text: None,
            rule: Some(rule),
            keys: Some(keys),
        } => Proposal::Keys {
            rule,
            keys: keys.changes(),
            file,
        },
        CheckRequest {
            file: Some(file),
            text: None,
            rule: None,
            keys: Some(keys),
        } => Proposal::Add { file, keys: keys.0 },
        _ => {
            return Err(Refusal::bad(
                "give `file` and `text`, or `rule` and `keys`, or `file` and `keys` for a new rule",
            ));
        }
    };
    Ok(Json(checked(&admin, proposal).await?))
}

/// What is wrong with `proposal`, and what it changes.
pub(in crate::web) async fn checked(admin: &Admin, proposal: Proposal) -> Result<Checked, Refused> {
    admin
        .workshop
        .work(move |bench| {
            let files = bench.files();
            let proposed = files.propose(proposal)?;
            Ok(bench.check(&files, &proposed))
        })
        .await
}

/// `PUT /api/v1/rules/{id}`.
pub(in crate::web) async fn put_rule(
    State(admin): State<Arc<Admin>>,
    author: Author,
    Path(Id { id }): Path<Id>,
    Given(change): Given<RuleChange>,
) -> Result<Json<Saved>, Denied> {
    let RuleChange {
        keys,
        file,
        hash,
        reason,
    } = change;
    let why = Why { hash, reason };
    let proposal = Proposal::Keys {
        rule: id,
        keys: keys.changes(),
        file,
    };
    Ok(Json(save(&admin, &author, proposal, why).await?))
}

/// `POST /api/v1/rules`.
pub(in crate::web) async fn post_rule(
    State(admin): State<Arc<Admin>>,
    author: Author,
    Given(new): Given<NewRule>,
) -> Result<Json<Saved>, Denied> {
    let NewRule {
        file,
        keys,
        hash,
        reason,
    } = new;
    let why = Why { hash, reason };
    let proposal = Proposal::Add { file, keys: keys.0 };
    Ok(Json(save(&admin, &author, proposal, why).await?))
}

/// A rule file.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::web) struct RuleFile {
    /// Its path as seen from the rules directory.
    file: String,
    /// What it is known by.
    hash: String,
    /// All of it.
    text: String,
    /// Whether it can be changed here.
    writable: bool,
    /// Why it cannot be.
    why_not: Option<String>,
}

/// `GET /api/v1/rule-files/{id}`.
pub(in crate::web) async fn get_file(
    State(admin): State<Arc<Admin>>,
    Path(Id { id }): Path<Id>,
) -> Result<Json<RuleFile>, Refusal> {
    let file = admin.workshop.work(move |bench| {
        let files = bench.files();
        let Some(source) = files.find(&id) else {
            return Err(Refused::Missing(format!("no rule file `{id}`")));
        };
        let text = source.text.clone();
        let proposed = files.propose(Proposal::Text {
            file: source.name.clone(),
            text,
        })?;
        Ok(RuleFile {
            hash: proposed.hash(),
            writable: proposed.writable.is_ok(),
            why_not: proposed.writable.err(),
            file: proposed.file,
            text: proposed.text,
        })
    });
    Ok(Json(file.await?))
}

/// `PUT /api/v1/rule-files/{id}`.
pub(in crate::web) async fn put_file(
    State(admin): State<Arc<Admin>>,
    author: Author,
    Path(Id { id }): Path<Id>,
    Given(change): Given<FileChange>,
) -> Result<Json<Saved>, Denied> {
    let FileChange { text, hash, reason } = change;
    let why = Why {
        hash: Some(hash),
        reason,
    };
    let proposal = Proposal::Text { file: id, text };
    Ok(Json(save(&admin, &author, proposal, why).await?))
}

/// What goes with a change that is saved.
#[derive(Debug, Default)]
pub(in crate::web) struct Why {
    /// What the file was known by when it was read.
    pub(in crate::web) hash: Option<String>,
    /// In the author's own words.
    pub(in crate::web) reason: Option<String>,
}

/// Saves what `author` proposes, has it read, and notes who it was.
pub(in crate::web) async fn save(
    admin: &Admin,
    author: &Author,
    proposal: Proposal,
    why: Why,
) -> Result<Saved, Refused> {
    let Why { hash, reason } = why;
    let saved = admin.workshop.work(move |bench| {
        let files = bench.files();
        let proposed = files.propose(proposal)?;
        bench.save(&files, &proposed, hash.as_deref())
    });
    let saved = saved.await;
    let outcome = saved.as_ref().map_or_else(outcome, |_| "saved");
    metrics::counter!(RULE_SAVES_TOTAL, "outcome" => outcome).increment(1);
    let checked = saved?;
    for deed in checked.deeds(author.name(), &reason.unwrap_or_default()) {
        // The file is changed, whether that is written down or not.
        if let Err(error) = admin.acts.record(deed).await {
            warn!(%error, file = checked.file, "a change of rules is not written down");
        }
    }
    let (in_use, reload) = match admin.reloads.reload().await {
        Ok(in_use) => (true, in_use),
        Err(error) => (false, error.to_string()),
    };
    Ok(Saved {
        checked,
        reload,
        in_use,
    })
}

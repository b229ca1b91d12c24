//! One rule: what it says, where, and what its examples and tests say of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::rules::{RuleView, view};
use crate::detect::TapeRole;
use crate::rule_check::is_match;
use crate::rules::edit::{self, Piece, Token};
use crate::rules::{RuleSet, SourceText};
use crate::time::Timestamp;
use crate::web::Admin;
use crate::web::answer::{Id, Refusal};
use crate::workshop::{Proposal, Refused, RuleText, TestsOfRule};

/// Most lines that are shown of what a rule matched.
const CAUGHT_MAX: usize = 20;

/// A rule with what is written of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::web) struct RuleDetail {
    /// Its id.
    pub(in crate::web) id: String,
    /// As it is in use; null where it is off.
    pub(in crate::web) rule: Option<RuleView>,
    /// Where it is written; null for what trommel finds about itself.
    pub(in crate::web) written: Option<Written>,
    /// The rule that ships and that it extends, as that is written.
    pub(in crate::web) extends: Option<Written>,
    /// What its lines are treated like, now.
    pub(in crate::web) examples: Vec<ExampleResult>,
    /// What it matched lately, the newest first, as far as matches are recorded; null while the database is busy.
    pub(in crate::web) caught: Option<Vec<Caught>>,
}

/// A line that was matched.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::web) struct Caught {
    /// The entry's time.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(serialize_with = "as_text")]
    pub(in crate::web) time: Timestamp,
    /// Its stream's labels, redacted.
    pub(in crate::web) labels: BTreeMap<String, String>,
    /// The line, redacted and cut.
    pub(in crate::web) line: String,
}

/// What is written of a rule.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::web) struct Written {
    /// The file, as seen from the rules directory.
    pub(in crate::web) file: String,
    /// The one-based line where it begins.
    pub(in crate::web) line: usize,
    /// Its lines.
    pub(in crate::web) yaml: String,
    /// Its keys, with the value of each in a line of YAML.
    pub(in crate::web) keys: Vec<KeyView>,
    /// The file that changes go to; for a rule that ships one of the operator's.
    pub(in crate::web) target: String,
    /// What that file is known by; `none` where it is not there.
    pub(in crate::web) hash: String,
    /// Whether it ships, and can only be extended.
    pub(in crate::web) ships: bool,
    /// Whether the file can be changed here.
    pub(in crate::web) writable: bool,
    /// Why it cannot be.
    pub(in crate::web) why_not: Option<String>,
    /// All of the file's text: for the page.
    #[serde(skip)]
    pub(in crate::web) text: String,
    /// Its lines in there in pieces.
    #[serde(skip)]
    pub(in crate::web) tokens: Vec<Token>,
}

/// A key of a rule.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::web) struct KeyView {
    /// Its name.
    pub(in crate::web) key: String,
    /// Its value.
    pub(in crate::web) value: String,
    /// What it means.
    pub(in crate::web) meaning: &'static str,
}

/// A line of `catches` or `passes`.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::web) struct ExampleResult {
    /// The line.
    pub(in crate::web) line: String,
    /// Whether it must match.
    pub(in crate::web) must_match: bool,
    /// Whether it does as it must.
    pub(in crate::web) passed: bool,
}

/// `GET /api/v1/rules/{id}`.
pub(in crate::web) async fn one(
    State(admin): State<Arc<Admin>>,
    Path(Id { id }): Path<Id>,
) -> Result<Json<RuleDetail>, Refusal> {
    Ok(Json(detail(&admin, id).await?))
}

/// `GET /api/v1/rules/{id}/tests`.
pub(in crate::web) async fn tests(
    State(admin): State<Arc<Admin>>,
    Path(Id { id }): Path<Id>,
) -> Result<Json<TestsOfRule>, Refusal> {
    Ok(Json(tests_of(&admin, id).await?))
}

/// What test files say of the rule `id`.
pub(in crate::web) async fn tests_of(admin: &Admin, id: String) -> Result<TestsOfRule, Refused> {
    admin.workshop.work(move |bench| Ok(bench.tests(&id))).await
}

/// The rule `id`, in use or only written.
pub(in crate::web) async fn detail(admin: &Admin, id: String) -> Result<RuleDetail, Refused> {
    let unselected = admin.unselected.borrow().contains(&id);
    let caught = caught(admin, id.clone()).await;
    let detail = admin.workshop.work(move |bench| {
        let files = bench.files();
        let in_use = bench.in_use();
        let rule = in_use.find(&id).map(|(_, rule)| rule);
        let found = files.rule(&id);
        if rule.is_none() && found.is_none() {
            let meant = in_use.meant(&id);
            let meant = meant.map(|it| format!(": did you mean `{it}`?"));
            let shown: String = id.chars().take(64).collect();
            return Err(Refused::Missing(format!(
                "no rule `{shown}`{}",
                meant.unwrap_or_default()
            )));
        }
        let mut written = None;
        if let Some((source, place)) = found {
            let mut it = Written::new(source, place);
            // What is changed of one that ships goes to a file of the operator's.
            let proposal = match it.ships {
                false => Proposal::Text {
                    file: source.name.clone(),
                    text: source.text.clone(),
                },
                true => Proposal::Keys {
                    rule: id.clone(),
                    keys: Vec::new(),
                    file: None,
                },
            };
            match files.propose(proposal) {
                Ok(proposed) => {
                    it.hash = proposed.hash();
                    it.writable = proposed.writable.is_ok();
                    it.why_not = proposed.writable.err();
                    it.target = proposed.file;
                }
                Err(refused) => it.why_not = Some(refused.to_string()),
            }
            written = Some(it);
        }
        let base = written.as_ref().and_then(|it| {
            let extended = it.keys.iter().find(|key| key.key == "extends")?;
            let (source, place) = files.shipped(&extended.value)?;
            Some(Written::new(source, place))
        });
        Ok(RuleDetail {
            examples: examples(in_use, &id),
            caught,
            rule: rule.map(|rule| view(rule, unselected, &in_use.warnings_of(&rule.id))),
            written,
            extends: base,
            id,
        })
    });
    detail.await
}

fn as_text<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

async fn caught(admin: &Admin, id: String) -> Option<Vec<Caught>> {
    let known = admin
        .archive
        .ask(move |reader| reader.matches(Some(&id), Timestamp::new(0), CAUGHT_MAX));
    let known = known.await.ok()?.into_iter().rev();
    let known = known.filter(|taped| taped.role == TapeRole::Match);
    let caught = known.map(|taped| Caught {
        time: taped.at,
        labels: taped.labels,
        line: taped.line,
    });
    Some(caught.collect())
}

impl Written {
    fn new(source: &SourceText, place: RuleText) -> Self {
        let Piece {
            lines,
            keys,
            tokens,
        } = place.piece;
        let keys = keys.into_iter().map(|(key, value)| KeyView {
            meaning: edit::meaning_of(&key).unwrap_or("Not a key of a rule."),
            value: value.in_line(),
            key,
        });
        Self {
            target: place.file.clone(),
            file: place.file,
            line: place.line,
            yaml: source.text[lines].to_owned(),
            tokens,
            keys: keys.collect(),
            hash: crate::workshop::digest_of(Some(&source.text)),
            ships: place.ships,
            writable: false,
            why_not: None,
            text: source.text.clone(),
        }
    }
}

fn examples(rules: &RuleSet, id: &str) -> Vec<ExampleResult> {
    let Some((_, rule)) = rules.find(id) else {
        return Vec::new();
    };
    let tried = |line: &String, must_match: bool| ExampleResult {
        passed: is_match(rules, id, line) == Some(must_match),
        line: line.clone(),
        must_match,
    };
    let catches = rule.catches.iter().map(|line| tried(line, true));
    let passes = rule.passes.iter().map(|line| tried(line, false));
    catches.chain(passes).collect()
}

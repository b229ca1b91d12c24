//! Changing a rule: the forms, and what comes of sending them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::parts::notice;
use super::{answer, rule_page};
use crate::rule_check::{Changes, Decision, Outcome};
use crate::rules::Problem;
use crate::rules::edit::Tree;
use crate::web::Admin;
use crate::web::answer::{Id, Refusal};
use crate::web::api::check::{Saved, Why, checked, save};
use crate::web::api::rule::{RuleDetail, Written, detail};
use crate::web::form::Form;
use crate::web::visitor::{TOKEN, Visitor};
use crate::workshop::{Checked, Diagnostic, Proposal, Refused};

/// The keys that have a field each, and what to write there.
const FIELDS: [(&str, &str); 8] = [
    ("threshold", "5 in 10m"),
    ("severity", "info, warning or critical"),
    ("escalate", "[{to: critical, after: 10m}]"),
    ("route", "name of a notification policy"),
    ("cooldown", "15m"),
    ("suppress", "Sun 10:00-12:00 Europe/Moscow"),
    ("enabled", "true or false"),
    ("environments", "[staging, production]"),
];

/// What was sent, and what came of it.
pub(super) struct Answered {
    /// The fields as they were sent, so that nothing is typed twice.
    fields: Vec<(String, String)>,
    came: Result<Came, Refused>,
}

enum Came {
    Checked(Box<Checked>),
    Saved(Box<Saved>),
    /// Nothing is different.
    Nothing,
}

impl Answered {
    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(field, _)| field == name)
            .map(|(_, value)| &**value)
    }

    /// The value that the field of `key` was sent with; `None` where another form was sent.
    fn sent(&self, key: &str) -> Option<&str> {
        self.field("of").filter(|of| *of == "keys")?;
        Some(self.field(key).unwrap_or_default())
    }
}

/// `POST /rules/{id}`: looks at a change, saves it, or hands it out.
pub(super) async fn post(
    State(admin): State<Arc<Admin>>,
    Path(Id { id }): Path<Id>,
    form: Result<Form<Vec<(String, String)>>, Refusal>,
) -> Response {
    let Form { author, given } = match form {
        Ok(form) => form,
        Err(refusal) => return answer(&admin, Err(refusal)),
    };
    let mut answered = Answered {
        fields: given,
        came: Ok(Came::Nothing),
    };
    let wanted = answered.field("do").unwrap_or("check").to_owned();
    let proposal = match detail(&admin, id.clone()).await {
        Ok(detail) => proposal(&detail, &answered),
        Err(refused) => return answer(&admin, Err(refused.into())),
    };
    answered.came = match proposal {
        Err(refused) => Err(refused),
        Ok(None) => Ok(Came::Nothing),
        Ok(Some(proposal)) if wanted == "save" => {
            let why = Why {
                hash: Some(answered.field("hash").unwrap_or_default().to_owned()),
                reason: answered.field("reason").map(str::to_owned),
            };
            let saved = save(&admin, &author, proposal, why).await;
            saved.map(|saved| Came::Saved(Box::new(saved)))
        }
        Ok(Some(proposal)) => match checked(&admin, proposal).await {
            Ok(checked) if wanted == "patch" => {
                return download("change.patch", "text/x-diff", checked.diff);
            }
            Ok(checked) if wanted == "file" => {
                let name = checked.file.rsplit('/').next().unwrap_or_default();
                return download(name, "application/yaml", checked.text);
            }
            Ok(checked) => Ok(Came::Checked(Box::new(checked))),
            Err(refused) => Err(refused),
        },
    };
    let page = rule_page(&admin, author.visitor(), id, false, Some(&answered)).await;
    answer(&admin, page)
}

fn download(name: &str, media_type: &'static str, text: String) -> Response {
    // Names of rule files have nothing in them that would end the quotes, but for those that somebody put there by hand.
    let plain = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let name: String = name.chars().filter(plain).collect();
    let as_file = format!("attachment; filename=\"{name}\"");
    let as_file = HeaderValue::from_str(&as_file).unwrap_or(HeaderValue::from_static("attachment"));
    let media_type = HeaderValue::from_static(media_type);
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_DISPOSITION, as_file),
    ];
    (headers, text).into_response()
}

/// What the form asks for; `None` when that is nothing new.
fn proposal(detail: &RuleDetail, answered: &Answered) -> Result<Option<Proposal>, Refused> {
    let Some(written) = &detail.written else {
        let why = "it is in no file, and so cannot be changed";
        return Err(Refused::ReadOnly(why.to_owned()));
    };
    if answered.field("of") == Some("text") {
        return Ok(Some(Proposal::Text {
            file: answered.field("file").unwrap_or(&written.target).to_owned(),
            text: answered.field("text").unwrap_or_default().to_owned(),
        }));
    }
    let mut keys = Vec::new();
    for (key, _) in FIELDS {
        let sent = answered.field(key).unwrap_or_default().trim();
        let value = Tree::read(sent);
        let value = value.map_err(|why| Refused::Bad(format!("{key}: {why}")))?;
        let before = value_of(written, key);
        let before = Tree::read(before).unwrap_or(Tree::Nothing);
        if value.says(&before) {
            continue;
        }
        keys.push((
            key.to_owned(),
            Some(value).filter(|value| *value != Tree::Nothing),
        ));
    }
    if keys.is_empty() {
        return Ok(None);
    }
    Ok(Some(Proposal::Keys {
        rule: detail.id.clone(),
        keys,
        file: None,
    }))
}

/// What is written of `key`; empty where nothing is.
fn value_of<'w>(written: &'w Written, key: &str) -> &'w str {
    let mut keys = written.keys.iter();
    keys.find(|it| it.key == key).map_or("", |it| &it.value)
}

/// What came of what was sent; there also when nothing was, for the script to fill.
pub(super) fn result(answered: Option<&Answered>) -> Markup {
    html! {
        div #result role="status" data-still[answered.is_some()] {
            @match answered.map(|answered| &answered.came) {
                None => {}
                Some(Ok(Came::Nothing)) => { p .notice { "Nothing is different from what is written." } }
                Some(Ok(Came::Checked(checked))) => (looked_at(checked)),
                Some(Ok(Came::Saved(saved))) => {
                    p .notice {
                        "Saved to " code { (saved.checked.file) } ". "
                        @if saved.in_use { "In use: " (saved.reload) } @else { "Not in use, and the rules before go on: " (saved.reload) }
                    }
                    (looked_at(&saved.checked))
                }
                Some(Err(Refused::Wrong(checked))) => {
                    (notice("The rules are not valid so; nothing is written."))
                    (looked_at(checked))
                }
                Some(Err(Refused::Conflict { file, diff, .. })) => {
                    (notice(&format!("{file} has been changed since this page was made; nothing is written. From what is there now to what you sent:")))
                    (difference(diff))
                }
                Some(Err(refused)) => (notice(&refused.to_string())),
            }
        }
    }
}

fn looked_at(checked: &Checked) -> Markup {
    html! {
        section {
            h2 { "What comes of it" }
            p {
                (checked.errors) @if checked.errors == 1 { " error, " } @else { " errors, " }
                (checked.warnings) @if checked.warnings == 1 { " warning" } @else { " warnings" }
                " in all rule files."
            }
            @for problem in &checked.problems { (diagnostic(problem)) }
            @if let Some(changes) = &checked.changes { (what_changes(changes, &checked.elsewhere)) }
            (difference(&checked.diff))
            @for (rule, outcomes) in &checked.policy { (policy(rule, outcomes)) }
            @if checked.errors > 0 { (marked(checked)) }
            @if let Some(why) = &checked.why_not { p .aside { "It cannot be saved here: " (why) "." } }
        }
    }
}

fn diagnostic(diagnostic: &Diagnostic) -> Markup {
    let problem = &diagnostic.problem;
    html! {
        div .diagnostic .(problem.level.as_str()) {
            p {
                strong { (problem.level.as_str()) " " (problem.code) @if diagnostic.hard_constraint { ", a hard constraint" } } " "
                @if diagnostic.here { a href={ "#L" (problem.line) } { "line " (problem.line) ", column " (problem.column) } }
                @else { (problem.file) ":" (problem.line) ":" (problem.column) }
                ": " (problem.message)
                @if let Some(help) = &problem.help { " (" (help) ")" }
            }
            pre tabindex="0" { code { (diagnostic.rendered) } }
        }
    }
}

/// The file's lines with what is wrong below each.
fn marked(checked: &Checked) -> Markup {
    let here = checked.problems.iter().filter(|it| it.here);
    let here: Vec<&Problem> = here.map(|it| &it.problem).collect();
    html! {
        @if !here.is_empty() {
            h3 { "In place" }
            ol .lines tabindex="0" {
                @for (number, line) in (1..).zip(checked.text.lines()) {
                    @let wrong: Vec<_> = here.iter().filter(|it| it.line == number).collect();
                    li #{ "L" (number) } .wrong[!wrong.is_empty()] {
                        code { (line) }
                        @for problem in wrong { div .mark { "▲ " (problem.message) } }
                    }
                }
            }
        }
    }
}

fn what_changes(changes: &Changes, elsewhere: &[String]) -> Markup {
    let lists = [
        ("New, or on from now", &changes.added),
        ("Gone, or off from now", &changes.removed),
        ("Different", &changes.changed),
        ("Begin with empty windows", &changes.begins_anew),
    ];
    html! {
        @if changes.is_empty() && elsewhere.is_empty() { p { "No rule in use becomes different." } }
        dl {
            @for (what, ids) in lists { @if !ids.is_empty() { dt { (what) } dd { (ids.join(", ")) } } }
            @if !elsewhere.is_empty() { dt { "Different in other environments" } dd { (elsewhere.join(", ")) } }
        }
    }
}

fn difference(diff: &str) -> Markup {
    let class = |line: &str| match line.as_bytes().first() {
        Some(b'+') => "plus",
        Some(b'-') => "minus",
        _ => "same",
    };
    html! {
        @if !diff.is_empty() {
            h3 { "Difference" }
            pre .diff tabindex="0" { code { @for line in diff.split_inclusive('\n') { span .(class(line)) { (line) } } } }
        }
    }
}

fn policy(rule: &str, outcomes: &[Outcome]) -> Markup {
    let names = |decisions: &[Decision]| {
        let names: Vec<_> = decisions.iter().map(|it| it.action.as_str()).collect();
        names.join(", ")
    };
    html! {
        h3 { "What may be done about findings of " code { (rule) } }
        div .scroll tabindex="0" role="region" aria-label="Policy" {
            table {
                thead { tr { th scope="col" { "Environment" } th scope="col" { "By a program" } th scope="col" { "With approval" } th scope="col" { "By people only" } } }
                tbody {
                    @for outcome in outcomes {
                        tr {
                            th scope="row" { @if outcome.environment.is_empty() { "any other" } @else { (outcome.environment) } }
                            td { (names(&outcome.decided.automatic)) }
                            td { (names(&outcome.decided.approval)) }
                            td { (names(&outcome.decided.human_only)) }
                        }
                    }
                }
            }
        }
    }
}

/// The forms to change the rule of `detail`.
pub(super) fn forms(
    visitor: &Visitor,
    detail: &RuleDetail,
    written: &Written,
    answered: Option<&Answered>,
) -> Markup {
    let path = format!("/rules/{}", detail.id);
    let text_of = |answered: &Answered| {
        answered.field("of").filter(|of| *of == "text")?;
        Some(answered.field("text").unwrap_or_default().to_owned())
    };
    let text = answered
        .and_then(text_of)
        .unwrap_or_else(|| written.text.clone());
    html! {
        section #change {
            h2 { "Change it" }
            @if let Err(refusal) = visitor.may_change() { (notice(&refusal.why)) }
            @else {
                @if written.ships {
                    p { "It ships with trommel. What is different here goes to " code { (written.target) } ", as a rule that extends it." }
                }
                @if let Some(why) = &written.why_not { p .aside { "Not to be saved here: " (why) "." } }
                form .change method="post" action=(path) {
                    (hidden(visitor, "keys", &written.hash))
                    div .fields {
                        @for (key, example) in FIELDS {
                            @let sent = answered.and_then(|answered| answered.sent(key));
                            label { (key) input name=(key) value=(sent.unwrap_or(value_of(written, key))) placeholder=(example) autocomplete="off" spellcheck="false"; }
                        }
                    }
                    (buttons(written))
                }
                @if !written.ships {
                    details open[answered.is_some_and(|it| it.field("of") == Some("text"))] {
                        summary { "All of " (written.file) }
                        form .change method="post" action=(path) {
                            (hidden(visitor, "text", &written.hash))
                            input type="hidden" name="file" value=(written.target);
                            label { "YAML" textarea name="text" rows="24" spellcheck="false" autocomplete="off" { (maud::PreEscaped("\n")) (text) } }
                            (buttons(written))
                        }
                    }
                }
            }
        }
    }
}

fn hidden(visitor: &Visitor, of: &str, hash: &str) -> Markup {
    html! {
        input type="hidden" name=(TOKEN) value=(visitor.token());
        input type="hidden" name="of" value=(of);
        input type="hidden" name="hash" value=(hash);
    }
}

fn buttons(written: &Written) -> Markup {
    html! {
        @if written.writable {
            label { "Why, for those who ask later" input name="reason" maxlength="2000" autocomplete="off"; }
        }
        p .links {
            button name="do" value="check" { "Check" }
            @if written.writable { button name="do" value="save" { "Save" } }
            button name="do" value="patch" { "Download as patch" }
            button name="do" value="file" { "Download the file" }
        }
    }
}

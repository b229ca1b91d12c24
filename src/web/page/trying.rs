//! Rules tried in place: lines in, answers out; and what a changed rule would have opened, beside the rule in use.
//!
//! Forms are sent as forms, so nothing of it needs a script.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State as Shared};
use axum::response::Response;
use maud::{Markup, html};

use super::parts::{notice, severity};
use super::{answer, layout};
use crate::explain::PartTold;
use crate::rules::{OWN_PREFIX, Problem, Selector};
use crate::trial::{Backtest, Explanation, LineAnswer, Side, TriedEvent};
use crate::web::Admin;
use crate::web::answer::Refusal;
use crate::web::trying::{
    self, BODY_BYTES_MAX, Declined, HOURS_MAX, Question, labels_of, lines_of,
};

/// Recent lines that are put into the form.
const RECENT_SHOWN: usize = 30;
/// Streams of recent lines that are offered.
const STREAMS_SHOWN: usize = 12;

/// What stands in the forms.
#[derive(Debug, Default, Clone)]
struct Form {
    what: String,
    lines: String,
    labels: String,
    asked: String,
    rules: String,
    rule: String,
    text: String,
    hours: String,
    stream: String,
}

impl Form {
    /// As an address or a form says it. What is not known is left out.
    fn read(text: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            let field = match &*name {
                "what" => &mut form.what,
                "lines" => &mut form.lines,
                "labels" => &mut form.labels,
                "asked" => &mut form.asked,
                "rules" => &mut form.rules,
                "rule" => &mut form.rule,
                "text" => &mut form.text,
                "hours" => &mut form.hours,
                "stream" => &mut form.stream,
                _ => continue,
            };
            *field = value.into_owned();
        }
        form
    }

    fn is_too_large(&self) -> bool {
        [&self.lines, &self.labels, &self.rules, &self.text]
            .iter()
            .map(|text| text.len())
            .sum::<usize>()
            > BODY_BYTES_MAX
    }
}

/// What came of a form.
enum Answer {
    None,
    Explained(Box<Explanation>),
    Played(Box<Backtest>, Vec<Problem>),
    Declined(Declined),
}

/// `GET /try`: the forms, with recent lines of `stream` or the text of `rule` in them.
pub(super) async fn get(Shared(admin): Shared<Arc<Admin>>, RawQuery(query): RawQuery) -> Response {
    let mut form = Form::read(query.unwrap_or_default().as_bytes());
    let mut told = Answer::None;
    if !form.stream.is_empty()
        && let Err(why) = fill_lines(&admin, &mut form)
    {
        told = Answer::Declined(why.into());
    }
    if !form.rule.is_empty() && form.text.is_empty() {
        match trying::text_of(&admin, form.rule.clone()).await {
            Ok(text) => form.text = text.unwrap_or_default(),
            Err(declined) => told = Answer::Declined(declined),
        }
    }
    show(&admin, &form, &told)
}

/// `POST /try`: the answer to a form, with the form as it was.
pub(super) async fn post(Shared(admin): Shared<Arc<Admin>>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let told = match tried(&admin, &form).await {
        Ok(told) => told,
        Err(declined) => Answer::Declined(declined),
    };
    show(&admin, &form, &told)
}

async fn tried(admin: &Admin, form: &Form) -> Result<Answer, Declined> {
    if form.is_too_large() {
        let most = BODY_BYTES_MAX >> 10;
        return Err(Refusal::bad(format!("that is more than {most} KiB of text")).into());
    }
    if form.what == "backtest" {
        let hours = form
            .hours
            .parse()
            .ok()
            .filter(|hours| (1..=HOURS_MAX).contains(hours));
        let hours = hours.unwrap_or(HOURS_MAX);
        let (rule, text) = (form.rule.clone(), form.text.clone());
        let (played, warnings) = trying::backtest(admin, rule, text, hours).await?;
        return Ok(Answer::Played(Box::new(played), warnings));
    }
    let some = |text: &String| (!text.trim().is_empty()).then(|| text.clone());
    let question = Question {
        lines: lines_of(&form.lines),
        labels: labels_of(&form.labels)?,
        tenant: String::new(),
        rule: some(&form.asked),
        text: some(&form.rules),
    };
    let explained = trying::explain(admin, question).await?;
    Ok(Answer::Explained(Box::new(explained)))
}

/// Puts lines that came lately into the form, those of the stream that spoke last.
fn fill_lines(admin: &Admin, form: &mut Form) -> Result<(), Refusal> {
    let selector =
        Selector::read(&form.stream).map_err(|why| Refusal::bad(format!("stream: {why}")))?;
    let recent = admin.trying.recent();
    let lines = recent.map(|recent| recent.lines(&selector, RECENT_SHOWN));
    let lines = lines.unwrap_or_default();
    let Some(first) = lines.first() else {
        return Err(Refusal::missing("no line of that stream came lately"));
    };
    form.labels = first.labels.to_string();
    let of_stream = lines.iter().take_while(|line| line.labels == first.labels);
    for line in of_stream {
        form.lines += &format!("{}\n", line.line);
    }
    Ok(())
}

fn show(admin: &Admin, form: &Form, told: &Answer) -> Response {
    let rules = admin.rules.borrow().clone();
    let content = html! {
        h1 { "Try rules" }
        p .aside { "Nothing here changes what is live." }
        div data-still="" {
            @match told {
                Answer::None => {}
                Answer::Explained(explained) => (explanation(explained)),
                Answer::Played(played, warnings) => { (problems(warnings)) (sides(played)) }
                Answer::Declined(Declined::Refusal(refusal)) => (notice(&refusal.why)),
                Answer::Declined(Declined::Rules(wrong)) => {
                    (notice("The rules are wrong."))
                    (problems(wrong))
                }
            }
        }
        section aria-labelledby="on-lines" {
            h2 #on-lines { "On lines" }
            (streams(admin))
            form .try method="post" action="/try" {
                input type="hidden" name="what" value="explain";
                label { "Lines" textarea name="lines" rows="8" spellcheck="false" required { "\n" (form.lines) } }
                label { "Labels of their stream" input name="labels" value=(form.labels) placeholder=r#"app=api, namespace=shop"#; }
                label { "Only this rule, with all there is to say (or all rules)"
                    input name="asked" value=(form.asked) list="rule-ids"; }
                label { "Rules beside those in use (or none)" textarea name="rules" rows="6" spellcheck="false" { "\n" (form.rules) } }
                button { "Which rules match?" }
            }
        }
        section aria-labelledby="on-past" {
            h2 #on-past { "On the last days" }
            form .filters method="get" action="/try" {
                label { "Rule" input name="rule" value=(form.rule) list="rule-ids" required; }
                button { "Get its text" }
            }
            datalist #rule-ids {
                @for rule in rules.rules.iter().filter(|rule| !rule.id.starts_with(OWN_PREFIX)) {
                    option value=(rule.id) {}
                }
            }
            form .try method="post" action="/try" {
                input type="hidden" name="what" value="backtest";
                label { "The rule in use" input name="rule" value=(form.rule) list="rule-ids" required; }
                label { "The rule as it is to be: another threshold, window, selector, pattern"
                    textarea name="text" rows="14" spellcheck="false" required { "\n" (form.text) } }
                label { "Hours to look back"
                    input name="hours" type="number" min="1" max=(HOURS_MAX) value=(if form.hours.is_empty() { HOURS_MAX.to_string() } else { form.hours.clone() }); }
                button { "What would have opened?" }
            }
        }
    };
    answer(
        admin,
        Ok(layout::page(admin, "Try rules", Some("/try"), &content)),
    )
}

/// Streams whose lines can be taken.
fn streams(admin: &Admin) -> Markup {
    let Some(recent) = admin.trying.recent() else {
        return html! { p .aside { "Recent lines are not kept (" code { "recent_lines" } ")." } };
    };
    let mut seen: Vec<String> = Vec::new();
    for line in recent.lines(&Selector::default(), 10 * STREAMS_SHOWN) {
        let labels = line.labels.to_string();
        if !seen.contains(&labels) && seen.len() < STREAMS_SHOWN {
            seen.push(labels);
        }
    }
    html! {
        @if seen.is_empty() { p .aside { "No lines came lately." } }
        @else {
            details {
                summary { "Take lines that came lately" }
                ul .plain {
                    @for labels in &seen {
                        @let query = form_urlencoded::Serializer::new(String::new()).append_pair("stream", labels).finish();
                        li { a href={ "/try?" (query) } { code { (labels) } } }
                    }
                }
            }
        }
    }
}

fn problems(problems: &[Problem]) -> Markup {
    html! {
        @if !problems.is_empty() {
            ul .problems {
                @for problem in problems {
                    li {
                        strong { (problem.level.as_str()) } " " code { (problem.file) ":" (problem.line) ":" (problem.column) } " " (problem.message)
                        @if let Some(help) = &problem.help { div .aside { (help) } }
                    }
                }
            }
        }
    }
}

fn explanation(explained: &Explanation) -> Markup {
    html! {
        section aria-labelledby="answer" {
            h2 #answer { "What " (explained.rules) " rules say" }
            @for line in &explained.lines { (of_line(line)) }
            h2 { "What would open" }
            @if explained.findings.is_empty() { p { "Nothing, were these lines logged now, a millisecond apart." } }
            @else { (events("What would open", &explained.findings)) }
        }
    }
}

fn of_line(line: &LineAnswer) -> Markup {
    html! {
        figure .line {
            pre { (line.line) }
            @if line.rules.is_empty() && line.near.is_empty() { p .aside { "No rule matches it, and none comes near." } }
            ul .plain {
                @for of_rule in &line.rules {
                    li {
                        strong { (of_rule.told.outcome) } " "
                        a href={ "/rules/" (of_rule.rule) } { code { (of_rule.rule) } }
                        @for (name, value) in &of_rule.told.key {
                            span .label { (name) "=" (value.as_deref().unwrap_or("(missing)")) }
                        }
                        @if let Some(standing) = &of_rule.told.standing { div .aside { (standing) } }
                        @if let Some(missing) = &of_rule.told.missing { div .aside { "missing: " (missing) } }
                        @if let Some(miss) = &of_rule.told.miss { div .aside { (miss) } }
                        @for unread in &of_rule.told.unread { div .aside { (unread) } }
                        @for part in &of_rule.told.parts { (of_part(part)) }
                    }
                }
                @for near in &line.near {
                    li {
                        "near " a href={ "/rules/" (near.rule) } { code { (near.rule) } } ": " (near.reason)
                        @if let Some(value) = &near.value { " (" (value) ")" }
                    }
                }
                @if line.more_near > 0 { li .aside { "and " (line.more_near) " more that come near" } }
            }
        }
    }
}

fn of_part(part: &PartTold) -> Markup {
    let there = part.items.iter().filter(|item| item.column.is_some());
    html! {
        div .aside {
            (if part.fulfilled { "✓ " } else { "✗ " }) (part.part) ": "
            @for item in there { code { (item.item) } " at " (item.column.unwrap_or_default()) " " }
            @for item in part.items.iter().filter(|item| item.group == "all" && item.column.is_none()) {
                "without " code { (item.item) } " "
            }
            @for item in &part.spoilt_by { "spoilt by " code { (item.item) } " " }
            @for field in &part.fields {
                (if field.holds { "✓ " } else { "✗ " }) code { (field.wanted) }
                " (" (field.name) " is " (field.value.as_deref().unwrap_or("missing")) ") "
            }
        }
    }
}

fn sides(played: &Backtest) -> Markup {
    html! {
        section aria-labelledby="answer" {
            h2 #answer {
                "Before: " (played.before.opened) " opened. After: " (played.after.opened) " opened."
            }
            p {
                (played.recorded) " of " (played.matches) " matches of this time are recorded; tried on "
                (played.lines) " recorded and " (played.recent) " recent lines."
            }
            div .sides {
                (side("Before: the rule in use", &played.before))
                (side("After: as written", &played.after))
            }
            h3 { "What this can and cannot say" }
            ul { @for note in &played.notes { li { (note) } } }
        }
    }
}

fn side(title: &str, side: &Side) -> Markup {
    html! {
        div {
            h3 { (title) }
            p {
                @for rule in &side.rules { code { (rule) } " " }
                (side.matches) " lines match, " (side.opened) " open, " (side.recovered) " recover"
            }
            @if !side.events.is_empty() { (events(title, &side.events)) }
            @if side.more_events > 0 { p .aside { "and " (side.more_events) " more" } }
        }
    }
}

fn events(caption: &str, events: &[TriedEvent]) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption .visually-hidden { (caption) }
                thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Severity" } th scope="col" { "Entries" } } }
                tbody {
                    @for event in events {
                        tr {
                            td { time datetime=(event.time) { (event.time) } }
                            td .what { (if event.kind == "recovered" { "recovers: " } else { "opens: " }) (event.summary) div .aside { code { (event.key) } } }
                            td { (severity(event.severity)) }
                            td { (event.count) }
                        }
                    }
                }
            }
        }
    }
}

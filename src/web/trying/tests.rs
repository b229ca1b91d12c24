use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::batch::{Batch, EntryId};
use crate::detect::{TapeCount, TapeRole, Taped};
use crate::record::Commit;
use crate::record::testing::{archive_with, finding};
use crate::rules::{LoadOptions, SourceText, load};

const RULES: &str = "rules:
- {id: refused, name: Nothing listens, selector: app=api, match: connection refused, threshold: 3 in 1m, incident_type: workload_failure}
- {id: denied, match: 'permission denied', incident_type: workload_failure, severity: critical}
";
/// What [`Trying::without_rules`] takes for now.
const NOW: i64 = 1_790_000_000_000_000_000;
const SECOND: i64 = 1_000_000_000;

fn taped(ago: i64) -> Taped {
    Taped {
        rule: Arc::from("refused"),
        role: TapeRole::Match,
        at: Timestamp::new(NOW - ago * SECOND),
        tenant: Arc::from(""),
        labels: BTreeMap::from([("app".to_owned(), "api".to_owned())]),
        line: format!("dial {ago}: connection refused"),
        entry: EntryId(ago.cast_unsigned()),
    }
}

/// A trommel with rules, two matches of one of them and a line that came lately.
fn admin() -> Admin {
    let mut admin = Admin::without_rules(Vec::new(), true);
    let source = SourceText {
        name: "rules.yaml".to_owned(),
        text: RULES.to_owned(),
    };
    let set = load(&[source], &LoadOptions::default()).set.expect("valid");
    admin.rules = watch::channel(Arc::new(set)).1;
    let mut open = finding(
        "00000000000000aa",
        crate::finding::State::Open,
        NOW - SECOND,
    );
    open.rule = "denied".to_owned();
    admin.archive = archive_with(&Commit {
        findings: vec![open],
        taped: vec![taped(30), taped(20)],
        tape_counts: vec![TapeCount {
            rule: Arc::from("refused"),
            minute: crate::detect::minute_of(Timestamp::new(NOW - 20 * SECOND)),
            matches: 2,
            left_out: 0,
        }],
        ..Commit::default()
    });
    let labels = Labels::new([("app".into(), "web".into())]);
    let stream = Arc::new(Stream::new(Arc::from(""), labels));
    let mut batch = Batch::default();
    batch.push(
        &stream,
        Timestamp::new(NOW - SECOND),
        b"token=abcdefgh12345678 <b>",
        &[],
    );
    let recent = admin.trying.recent().expect("kept");
    recent.sample(&batch, &(0..1), |_| false);
    admin
}

async fn ask(routes: &Router, method: &str, path: &str, kind: &str, body: String) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, kind)
        .body(Body::from(body))
        .expect("valid");
    let response = routes.clone().oneshot(request).await.expect("infallible");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await;
    let body = body.expect("in memory").to_vec();
    (status, String::from_utf8(body).expect("text"))
}

async fn post(routes: &Router, path: &str, body: &Value) -> (u16, Value) {
    let (status, body) = ask(routes, "POST", path, "application/json", body.to_string()).await;
    let value = serde_json::from_str(&body).unwrap_or_else(|_| body.into());
    (status, value)
}

async fn page(routes: &Router, form: &[(&str, &str)]) -> (u16, String) {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let kind = "application/x-www-form-urlencoded";
    ask(routes, "POST", "/try", kind, form).await
}

#[tokio::test]
async fn lines_that_came_lately_are_shown_redacted_by_stream() {
    let routes = admin().routes();
    let get = async |path| ask(&routes, "GET", path, "", String::new()).await;
    let (status, lines) = get("/api/v1/lines?stream=app=web").await;
    let lines: Value = serde_json::from_str(&lines).expect("JSON");
    assert_eq!((status, &lines["kept"]), (200, &json!(true)));
    assert_eq!(lines["lines"][0]["labels"]["app"], "web");
    let line = lines["lines"][0]["line"].as_str().expect("a line");
    assert!(!line.contains("abcdefgh"), "{line}");
    let (_, none) = get("/api/v1/lines?stream=app=api").await;
    assert_eq!(none, r#"{"kept":true,"lines":[]}"#);
    let (status, why) = get("/api/v1/lines?stream=app%7Eapi").await;
    assert_eq!(status, 400, "{why}");
    let (status, page) = get("/try?stream=app%3Dweb").await;
    assert_eq!(status, 200);
    assert!(page.contains("&lt;b&gt;"), "{page}");
    assert!(page.contains("value=\"{app=&quot;web&quot;}\""), "{page}");
}

#[tokio::test]
async fn lines_are_explained_by_the_rules_in_use_and_by_some_that_come_along() {
    let routes = admin().routes();
    let asked = json!({"labels": {"app": "api"}, "text": "a connection refused\n\nno\n"});
    let (status, answer) = post(&routes, "/api/v1/explain", &asked).await;
    assert_eq!((status, &answer["rules"]), (200, &json!(2)), "{answer}");
    assert_eq!(answer["lines"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["lines"][0]["rules"][0]["rule"], "refused");
    assert_eq!(answer["lines"][0]["rules"][0]["outcome"], "match");

    let rules = "rules:\n- {id: no, match: 'no', incident_type: workload_failure}\n";
    let asked = json!({"lines": ["no"], "rule": "no", "rules": rules});
    let (status, answer) = post(&routes, "/api/v1/explain", &asked).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["findings"][0]["kind"], "observed", "{answer}");

    let wrong = json!({"lines": ["no"], "rules": "rules:\n- {id: no, mach: 'no'}\n"});
    let (status, answer) = post(&routes, "/api/v1/explain", &wrong).await;
    assert_eq!(status, 422, "{answer}");
    let problem = &answer["problems"][0];
    assert_eq!(
        (&problem["file"], &problem["line"]),
        (&json!("text"), &json!(2))
    );
}

#[tokio::test]
async fn what_is_too_much_or_unknown_is_refused_with_a_reason() {
    let routes = admin().routes();
    for (body, status, why) in [
        (json!({}), 400, "there is no line"),
        (json!({"lines": ["x"], "text": "y"}), 400, "either"),
        (
            json!({"lines": vec!["x"; 201]}),
            400,
            "201 lines are more than the 200",
        ),
        (
            json!({"lines": ["x"], "rule": "refusd"}),
            404,
            "did you mean `refused`?",
        ),
        (json!({"lines": ["x"], "colour": 1}), 400, "colour"),
        (json!({"text": "x".repeat(300 << 10)}), 413, "length"),
    ] {
        let (found, answer) = post(&routes, "/api/v1/explain", &body).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert_eq!(found, status, "{answer}");
        assert!(error.contains(why), "{answer}");
    }
    let long = "x".repeat(300 << 10);
    let (status, _) = page(&routes, &[("what", "explain"), ("lines", &long)]).await;
    assert_eq!(status, 200);
    let asked = json!({"rule": "refused", "text": RULES, "hours": 73});
    let (status, answer) = post(&routes, "/api/v1/backtest", &asked).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn a_changed_rule_is_played_over_what_is_recorded() {
    let routes = admin().routes();
    let changed = RULES.lines().take(2).collect::<Vec<_>>().join("\n");
    let changed = changed.replace("3 in 1m", "2 in 1m");
    let asked = json!({"rule": "refused", "text": changed});
    let (status, answer) = post(&routes, "/api/v1/backtest", &asked).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["matches"], &answer["recorded"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(answer["recent"], 1);
    assert_eq!(answer["before"]["opened"], 0, "{answer}");
    assert_eq!(answer["after"]["opened"], 1, "{answer}");

    let form = [
        ("what", "backtest"),
        ("rule", "refused"),
        ("text", &*changed),
    ];
    let (status, page) = page(&routes, &form).await;
    assert_eq!(status, 200);
    assert!(
        page.contains("Before: 0 opened. After: 1 opened."),
        "{page}"
    );
    assert!(
        page.contains("2 of 2 matches of this time are recorded"),
        "{page}"
    );
    // The form is as it was.
    assert!(page.contains("threshold: 2 in 1m"), "{page}");
}

#[tokio::test]
async fn the_page_answers_in_place_and_shows_mistakes_with_their_place() {
    let routes = admin().routes();
    let form = [("lines", "connection refused <b>"), ("labels", "app=web")];
    let (status, answer) = page(&routes, &form).await;
    assert_eq!(status, 200);
    assert!(
        answer.contains("near <a href=\"/rules/refused\">"),
        "{answer}"
    );
    assert!(
        answer.contains("&lt;b&gt;") && !answer.contains("<b>"),
        "{answer}"
    );
    let form = [
        ("lines", "x"),
        ("rules", "rules:\n- {id: no, mach: 'no'}\n"),
    ];
    let (_, answer) = page(&routes, &form).await;
    assert!(answer.contains("<code>text:2:"), "{answer}");
    let (_, answer) = page(&routes, &[("lines", "x"), ("labels", "app!=web")]).await;
    assert!(answer.contains("is no label with its value"), "{answer}");
}

#[tokio::test]
async fn rules_are_listed_with_what_they_have_done_in_the_order_asked_for() {
    let routes = admin().routes();
    let get = async |path| ask(&routes, "GET", path, "", String::new()).await;
    let (_, rules) = get("/api/v1/rules").await;
    let rules: Value = serde_json::from_str(&rules).expect("JSON");
    let (denied, refused) = (&rules["rules"][0], &rules["rules"][1]);
    assert_eq!(denied["activity"]["open"], 1, "{denied}");
    assert_eq!(refused["activity"]["matches_day"], 2, "{refused}");
    assert_eq!(
        (&refused["selector"], &refused["class"]),
        (&json!("app=\"api\""), &json!("threshold"))
    );
    let place = |page: &str, rule: &str| page.find(&format!("id=\"{rule}\"")).expect("there");
    let (status, page) = get("/rules?sort=matches&text=").await;
    assert_eq!(status, 200);
    assert!(place(&page, "refused") < place(&page, "denied"), "{page}");
    let (_, page) = get("/rules?sort=severity").await;
    assert!(place(&page, "denied") < place(&page, "refused"), "{page}");
    let (_, page) = get("/rules?text=listens").await;
    assert!(
        page.contains("id=\"refused\"") && !page.contains("id=\"denied\""),
        "{page}"
    );
    let (status, _) = get("/rules?sort=colour").await;
    assert_eq!(status, 400);
}

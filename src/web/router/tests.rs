use axum::http::Request;
use expect_test::{Expect, expect};
use tokio::sync::watch;
use tower::ServiceExt;

use super::*;
use crate::finding::State as Stage;
use crate::owner::{Connection, Standing};
use crate::record::testing::{archive_with, finding, sample};
use crate::record::{Commit, FindingRow, Sample};
use crate::rules::{Severity, TEE_SILENT};
use crate::time::Timestamp;

/// Two findings that are open, one that is over.
fn rows() -> Vec<FindingRow> {
    let mut rows = [
        finding("000000000000000a", Stage::Open, 7),
        finding("000000000000000b", Stage::Open, 1_795_953_600_000_000_000),
        finding("000000000000000c", Stage::Recovered, 9),
    ];
    rows[1].severity = Severity::Critical;
    rows[1].domain = "identity_security".to_owned();
    rows[1].incident_type = "auth_provider_drift".to_owned();
    rows[1].rule = "ldap_unavailable".to_owned();
    for row in &mut rows {
        row.body = serde_json::json!({"id": row.finding_id, "text": "A b&c"}).to_string();
    }
    rows.into()
}

/// Status, type and body of the answer to `method path`, of a trommel that is ready or not.
async fn ask(ready: bool, method: &str, path: &str) -> (u16, String, String) {
    let routes = Admin::without_rules(rows(), ready).routes();
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).expect("valid");
    let response = routes.oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("in memory");
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    (
        parts.status.as_u16(),
        content_type
            .map_or("", |it| it.to_str().expect("ours"))
            .to_owned(),
        String::from_utf8(body.to_vec()).expect("text"),
    )
}

#[track_caller]
fn check(method: &str, path: &str, expected: Expect) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (status, content_type, body) = runtime.block_on(ask(true, method, path));
    expected.assert_eq(&format!("{status} {content_type}\n{}\n", body.trim_end()));
}

#[test]
fn each_path_says_what_it_is_for() {
    check(
        "GET",
        "/",
        expect![[r#"
            200 text/plain; charset=utf-8
            trommel 0.1.0: ready, 0 rules

            /metrics             measurements for Prometheus
            /livez               200 while the process runs
            /readyz              200 until it is told to stop
            /api/v1/status       how it stands: open findings, tee, NATS, rules, disk
            /api/v1/findings     findings, newest change first
            /api/v1/findings/ID  one of them with its timeline
            /api/v1/kinds        what there are findings of, to choose from
            /api/v1/history      what was measured, minute by minute, for a day
            /api/v1/rules        rules in use, and what newer ones were refused for
            /api/v1/rules/ID     one of them: what is written, and what its examples say
            /api/v1/check        POST says what a change of rules would do
            /api/v1/silences     what is silent; POST makes a silence, DELETE of one ends it
            /api/v1/audit        who changed what, the newest first
            /api/v1/lines        lines that came lately
            /api/v1/explain      POST says which rules match lines, and why others do not
            /api/v1/backtest     POST says what a changed rule would have opened
            /api/v1/config       what newer settings were refused for, and which want a restart
            /api/v1/openapi.json all of the API, and what its parameters are
            /-/reload            POST reads rules and settings anew
        "#]],
    );
    check(
        "GET",
        "/livez",
        expect![[r#"
        200 text/plain; charset=utf-8
        ok
    "#]],
    );
    check(
        "GET",
        "/readyz",
        expect![[r#"
        200 text/plain; charset=utf-8
        ready
    "#]],
    );
    check(
        "HEAD",
        "/readyz?verbose",
        expect![[r#"
        200 text/plain; charset=utf-8

    "#]],
    );
    check(
        "GET",
        "/api/v1/rules",
        expect![[r#"
        200 application/json
        {"loaded_at":"1970-01-01T00:00:00Z","error":null,"error_at":null,"hash":"","rules":[],"off":[]}
    "#]],
    );
    check(
        "GET",
        "/api/v1/config",
        expect![[r#"
        200 application/json
        {"loaded_at":"1970-01-01T00:00:00Z","error":null,"error_at":null,"after_restart":[]}
    "#]],
    );
}

#[test]
fn findings_come_in_pages_by_any_of_their_parts() {
    check(
        "GET",
        "/api/v1/findings",
        expect![[r#"
        200 application/json
        {"findings":[{"id":"000000000000000b","text":"A b&c"},{"id":"000000000000000c","text":"A b&c"},{"id":"000000000000000a","text":"A b&c"}]}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?limit=1",
        expect![[r#"
        200 application/json
        {"findings":[{"id":"000000000000000b","text":"A b&c"}],"next":"1795953600000000000:000000000000000b"}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?limit=1&after=1795953600000000000:000000000000000b",
        expect![[r#"
            200 application/json
            {"findings":[{"id":"000000000000000c","text":"A b&c"}],"next":"9:000000000000000c"}
        "#]],
    );
    check(
        "GET",
        "/api/v1/findings?state=recovered&limit=500",
        expect![[r#"
            200 application/json
            {"findings":[{"id":"000000000000000c","text":"A b&c"}]}
        "#]],
    );
    check(
        "GET",
        "/api/v1/findings?severity=critical&domain=identity_security&type=auth_provider_drift&rule=ldap_unavailable\
         &text=a%20B%26c&since=2026-11-29T12:00:00Z&until=2026-11-30T12:00:00Z",
        expect![[r#"
            200 application/json
            {"findings":[{"id":"000000000000000b","text":"A b&c"}]}
        "#]],
    );
}

#[tokio::test]
async fn labels_are_those_of_the_scope_and_of_the_lines_quoted() {
    let labelled = |id: &str, scope: serde_json::Value, line: serde_json::Value| {
        let mut row = finding(id, Stage::Open, 7);
        row.body = serde_json::json!({
            "id": id, "resource_scope": scope, "evidence": {"lines": [{"labels": line}]}, "summary": "\"pod\":\"a\""
        })
        .to_string();
        row
    };
    let none = serde_json::json!({});
    let rows = vec![
        labelled(
            "a",
            serde_json::json!({"namespace": "sh\"op", "pod": "x=1"}),
            none.clone(),
        ),
        labelled(
            "b",
            serde_json::json!({"namespace": "sh\"op"}),
            serde_json::json!({"pod": "a"}),
        ),
        labelled("c", none, serde_json::json!({"pod": "a", "namespace": "é"})),
    ];
    let routes = Admin::without_rules(rows, true).routes();
    let ids = async |query: &str| {
        let request = Request::builder().uri(format!("/api/v1/findings?{query}"));
        let request = request.body(Body::empty()).expect("valid");
        let response = routes.clone().oneshot(request).await.expect("infallible");
        let body = to_bytes(response.into_body(), usize::MAX).await;
        let body: serde_json::Value =
            serde_json::from_slice(&body.expect("in memory")).expect("JSON");
        let findings = body["findings"].as_array().expect("a list").clone();
        let ids = findings
            .iter()
            .map(|it| it["id"].as_str().expect("text").to_owned());
        ids.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids("label=namespace=sh%22op").await, "b a");
    assert_eq!(ids("label=namespace=sh%22op&label=pod=a").await, "b");
    assert_eq!(ids("label=pod=x=1").await, "a");
    assert_eq!(ids("label=namespace=%C3%A9&state=open").await, "c");
    assert_eq!(ids("label=pod=b").await, "");
    assert_eq!(ids("label=summary=x").await, "", "a part that is no label");
}

#[test]
fn what_there_are_findings_of_is_told_to_choose_from() {
    check(
        "GET",
        "/api/v1/kinds",
        expect![[r#"
            200 application/json
            {"kinds":[{"domain":"identity_security","incident_type":"auth_provider_drift","rule":"ldap_unavailable"},{"domain":"runtime_services","incident_type":"oom","rule":"r"}]}
        "#]],
    );
}

#[test]
fn one_finding_has_its_timeline() {
    check(
        "GET",
        "/api/v1/findings/000000000000000a",
        expect![[r#"
        200 application/json
        {"finding":{"id":"000000000000000a","text":"A b&c"},"timeline":[{}],"marks":[]}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings/0",
        expect![[r#"
        404 application/json
        {"error":"no finding `0`: it may have been forgotten, `history_max_age` and `history_bytes_max` say when"}
    "#]],
    );
}

#[test]
fn what_is_not_there_or_not_understood_is_refused_with_a_reason() {
    check(
        "GET",
        "/metric",
        expect![[r#"
        404 text/plain; charset=utf-8
        not found; `/` lists what there is
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings/",
        expect![[r#"
        404 text/plain; charset=utf-8
        not found; `/` lists what there is
    "#]],
    );
    check(
        "GET",
        "/assets/0/nothing.js",
        expect![[r#"
        404 text/plain; charset=utf-8
        not found; `/` lists what there is
    "#]],
    );
    check(
        "POST",
        "/metrics",
        expect![[r#"
        405 text/plain; charset=utf-8
        this path is not for that method; `allow` says for which
    "#]],
    );
    check(
        "GET",
        "/-/reload",
        expect![[r#"
        405 text/plain; charset=utf-8
        this path is not for that method; `allow` says for which
    "#]],
    );
    check(
        "POST",
        "/-/reload",
        expect![[r#"
        503 text/plain; charset=utf-8
        stopping
    "#]],
    );
    check(
        "POST",
        "/nowhere",
        expect![[r#"
        404 text/plain; charset=utf-8
        not found; `/` lists what there is
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?state=closed",
        expect![[r#"
        400 application/json
        {"error":"state: unknown variant `closed`, expected `open` or `recovered`"}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?severity=bad",
        expect![[r#"
        400 application/json
        {"error":"severity: unknown variant `bad`, expected one of `info`, `warning`, `critical`"}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?since=yesterday",
        expect![[r#"
        400 application/json
        {"error":"since: `yesterday` is no time, expected one such as 2026-11-29T12:00:00Z"}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?until=",
        expect![[r#"
        400 application/json
        {"error":"until: `` is no time, expected one such as 2026-11-29T12:00:00Z"}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?after=7",
        expect![[r#"
        400 application/json
        {"error":"after: `7` is no place, expected what `next` of the page before said"}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?after=x:y",
        expect![[r#"
        400 application/json
        {"error":"after: `x:y` is no place, expected what `next` of the page before said"}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?limit=0",
        expect![[r#"
        400 application/json
        {"error":"limit: `0` is no limit, expected a number from 1 to 500"}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?limit=501",
        expect![[r#"
        400 application/json
        {"error":"limit: `501` is no limit, expected a number from 1 to 500"}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?limit=-1",
        expect![[r#"
        400 application/json
        {"error":"limit: `-1` is no limit, expected a number from 1 to 500"}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?colour=red",
        expect![[r#"
        400 application/json
        {"error":"colour: unknown field `colour`, expected one of `state`, `severity`, `domain`, `type`, `rule`, `label`, `text`, `since`, `until`, `after`, `limit`"}
    "#]],
    );
    check(
        "GET",
        "/api/v1/findings?label=shop",
        expect![[r#"
            400 application/json
            {"error":"label: `shop` is no label, expected one such as namespace=shop"}
        "#]],
    );
    check(
        "GET",
        "/api/v1/findings?label=a=&label=b=&label=c=&label=d=&label=e=&label=f=&label=g=&label=h=&label=i=",
        expect![[r#"
            400 application/json
            {"error":"label: 9 labels are asked for, at most 8 can be"}
        "#]],
    );
    check(
        "GET",
        "/api/v1/findings?state=open&state=open",
        expect![[r#"
        400 application/json
        {"error":"duplicate field `state`"}
    "#]],
    );
}

#[tokio::test]
async fn the_status_says_what_is_open_and_what_stands_in_the_way() {
    let ask = async |rows: Vec<FindingRow>, standing: Standing| {
        let routes = Admin {
            standing: watch::channel(standing).1,
            ..Admin::without_rules(rows, true)
        }
        .routes();
        let request = Request::builder().uri("/api/v1/status").body(Body::empty());
        let response = routes.oneshot(request.expect("valid")).await;
        let body = response.expect("infallible").into_body();
        let body = to_bytes(body, usize::MAX).await.expect("in memory");
        serde_json::from_slice::<serde_json::Value>(&body).expect("JSON")
    };
    let start = Standing::of_start(Timestamp::new(0));
    let status = ask(rows(), start.clone()).await;
    let open = serde_json::json!({"critical": 1, "warning": 1, "info": 0, "about_trommel": 0});
    assert_eq!(status["open"], open);
    assert_eq!(status["tee"]["complete"], true);
    assert_eq!(status["tee"]["last_push_at"], serde_json::Value::Null);
    assert_eq!(status["nats"], serde_json::Value::Null);
    assert_eq!(status["rules"]["count"], 0);
    assert_eq!(status["started_at"], "1970-01-01T00:00:00Z");

    let mut silent = finding("000000000000000d", Stage::Open, 9_000_000_000);
    silent.rule = TEE_SILENT.to_owned();
    silent.body = r#"{"observed_at":"1970-01-01T00:00:09Z"}"#.to_owned();
    let standing = Standing {
        pushed_at: Some(Timestamp::new(4_000_000_000)),
        commit_error: Some("full".to_owned()),
        nats: Some(Connection {
            connected: false,
            since: Some(Timestamp::new(5_000_000_000)),
            acked_at: None,
            trouble: Some("refused".to_owned()),
        }),
        ..start
    };
    let status = ask(vec![silent], standing).await;
    let tee = serde_json::json!({
        "complete": false, "blind": "nothing_comes", "blind_since": "1970-01-01T00:00:04Z",
        "finding_id": "000000000000000d", "last_push_at": "1970-01-01T00:00:04Z",
    });
    assert_eq!(status["tee"], tee);
    assert_eq!(status["open"]["about_trommel"], 1);
    assert_eq!(status["nats"]["since"], "1970-01-01T00:00:05Z");
    assert_eq!(status["nats"]["trouble"], "refused");
    assert_eq!(status["disk"]["commit_error"], "full");
}

#[tokio::test]
async fn minutes_are_told_from_any_of_them_on() {
    let quiet = Sample {
        lag: None,
        answer: None,
        ..sample(2)
    };
    let commit = Commit {
        samples: vec![sample(1), quiet],
        ..Commit::default()
    };
    let routes = Admin {
        archive: archive_with(&commit),
        ..Admin::without_rules(Vec::new(), true)
    }
    .routes();
    let ask = async |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty());
        let request = request.expect("valid");
        let response = routes.clone().oneshot(request).await.expect("infallible");
        let body = to_bytes(response.into_body(), usize::MAX).await;
        String::from_utf8(body.expect("in memory").to_vec()).expect("text")
    };
    let counts = r#""seconds":60.0,"entries":6000,"entries_shed":1,"requests_shed":2,"entries_early":3,"entries_late":4,"duplicates":5,"findings_observed":6"#;
    let first = format!(
        r#"{{"from":"1970-01-01T00:00:00Z","to":"1970-01-01T00:01:00Z",{counts},"event_lag_seconds":{{"p50":0.7,"p99":0.8}},"answer_seconds":{{"p50":0.0009,"p99":0.001001}}}}"#
    );
    let second = format!(
        r#"{{"from":"1970-01-01T00:01:00Z","to":"1970-01-01T00:02:00Z",{counts},"event_lag_seconds":null,"answer_seconds":null}}"#
    );
    assert_eq!(
        ask("/api/v1/history").await,
        format!(r#"{{"samples":[{first},{second}]}}"#)
    );
    assert_eq!(
        ask("/api/v1/history?since=1970-01-01T00:01:30Z").await,
        format!(r#"{{"samples":[{second}]}}"#)
    );
    assert!(
        ask("/api/v1/history?until=x")
            .await
            .contains("unknown field `until`")
    );
}

#[tokio::test]
async fn who_has_an_answer_already_gets_none() {
    let routes = Admin::without_rules(rows(), true).routes();
    let ask = async |tags: &str| {
        let request = Request::builder()
            .uri("/api/v1/findings")
            .header(header::IF_NONE_MATCH, tags);
        let request = request.body(Body::empty()).expect("valid");
        let response = routes.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let tag = parts.headers[header::ETAG]
            .to_str()
            .expect("ours")
            .to_owned();
        let body = to_bytes(body, usize::MAX).await.expect("in memory");
        (parts.status, tag, body.len())
    };
    let (status, tag, length) = ask("\"0\"").await;
    assert_eq!(status, StatusCode::OK);
    assert!(length > 0);
    assert_eq!(
        ask(&format!("\"0\", {tag}")).await,
        (StatusCode::NOT_MODIFIED, tag, 0)
    );
}

#[tokio::test]
async fn metrics_are_those_of_the_process() {
    let (status, content_type, body) = ask(true, "GET", "/metrics").await;
    assert_eq!((status, &*content_type), (200, METRICS));
    assert!(body.contains("trommel_build_info{version="), "{body}");
}

#[tokio::test]
async fn readiness_is_the_push_ports() {
    assert_eq!(ask(false, "GET", "/readyz").await.0, 503);
    assert_eq!(ask(false, "GET", "/livez").await.0, 200);
}

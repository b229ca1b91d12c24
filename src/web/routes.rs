//! Which path is answered with what.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Admin, FindingsQuery, config_answer, rules_answer};
use crate::finding::State;
use crate::record::FindingFilter;
use crate::reload::ReloadError;

/// Findings in an answer when the request does not say.
const LIMIT_DEFAULT: usize = 100;
/// Findings in an answer at most, some 3 KiB each and never above 32: a slow reader holds its answer in memory.
const LIMIT_MAX: usize = 500;
/// How long the owner of the database may take to answer; it also commits, and a commit can wait for a slow disk.
const OWNER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a reload may take before who asked for it is told that it goes on.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers one request.
pub(super) async fn respond<B>(admin: &Admin, request: &Request<B>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let known = matches!(
        path,
        "/" | "/metrics"
            | "/livez"
            | "/readyz"
            | "/api/v1/findings"
            | "/api/v1/rules"
            | "/api/v1/config"
            | RELOAD
    );
    if !known {
        return answer(
            StatusCode::NOT_FOUND,
            TEXT,
            "not found; `/` lists what there is\n",
        );
    }
    if path == RELOAD {
        return reload(admin, request.method()).await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        refusal
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match path {
        "/metrics" => answer(StatusCode::OK, METRICS, admin.telemetry.render()),
        "/livez" => answer(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" if *admin.ready.borrow() => answer(StatusCode::OK, TEXT, "ready\n"),
        "/readyz" => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            TEXT,
            "not ready: stopping\n",
        ),
        "/api/v1/findings" => match findings(admin, request.uri().query().unwrap_or("")).await {
            Ok(list) => json(StatusCode::OK, &list),
            Err((status, error)) => json(status, &Failure { error }),
        },
        "/api/v1/rules" => {
            let rules = admin.rules.borrow().clone();
            let unselected = admin.unselected.borrow().clone();
            let status = admin.status.borrow().clone();
            json(StatusCode::OK, &rules_answer(&rules, &unselected, &status))
        }
        "/api/v1/config" => {
            let status = admin.status.borrow().clone();
            json(StatusCode::OK, &config_answer(&status))
        }
        _ => answer(StatusCode::OK, TEXT, front_page(admin)),
    }
}

/// As Prometheus and its relatives have it.
const RELOAD: &str = "/-/reload";

/// Has files read anew, and says what came of it.
async fn reload(admin: &Admin, method: &Method) -> Response<Full<Bytes>> {
    if *method != Method::POST {
        let mut refusal = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only POST\n");
        refusal
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
        return refusal;
    }
    match timeout(RELOAD_TIMEOUT, admin.reloads.reload()).await {
        Ok(Ok(in_use)) => answer(StatusCode::OK, TEXT, in_use),
        Ok(Err(ReloadError::Refused(why))) => {
            answer(StatusCode::UNPROCESSABLE_ENTITY, TEXT, format!("{why}\n"))
        }
        Ok(Err(ReloadError::Stopping)) => {
            answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "stopping\n")
        }
        Err(_) => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            TEXT,
            "it takes long and goes on; the log says what comes of it\n",
        ),
    }
}

#[derive(Serialize)]
struct Findings {
    findings: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct Failure {
    error: String,
}

async fn findings(admin: &Admin, query: &str) -> Result<Findings, (StatusCode, String)> {
    let filter = read_filter(query).map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    let unavailable = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, why.to_owned());
    let (reply, answer) = oneshot::channel();
    let ask = async {
        let question = FindingsQuery { filter, reply };
        admin.findings.send(question).await.ok()?;
        answer.await.ok()
    };
    let rows = timeout(OWNER_TIMEOUT, ask)
        .await
        .map_err(|_| unavailable("the database is busy; try again"))?
        .ok_or_else(|| unavailable("the database cannot be read; the log says why"))?;
    let findings = rows.into_iter().map(|row| RawValue::from_string(row.body));
    Ok(Findings {
        findings: findings.collect::<Result<_, _>>().map_err(|error| {
            let error = format!("a stored finding is not JSON: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, error)
        })?,
    })
}

/// Reads `state=open&limit=10`. What is not known is an error: a misspelt filter would show too much.
fn read_filter(query: &str) -> Result<FindingFilter, String> {
    let mut filter = FindingFilter {
        state: None,
        limit: LIMIT_DEFAULT,
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("state", "open") => filter.state = Some(State::Open),
            ("state", "recovered") => filter.state = Some(State::Recovered),
            ("state", other) => {
                return Err(format!("state is `{other}`, expected open or recovered"));
            }
            ("limit", number) => {
                filter.limit = number
                    .parse()
                    .ok()
                    .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                    .ok_or_else(|| format!("limit is `{number}`, expected 1 to {LIMIT_MAX}"))?;
            }
            (other, _) => {
                return Err(format!(
                    "unknown parameter `{other}`, expected state or limit"
                ));
            }
        }
    }
    Ok(filter)
}

fn front_page(admin: &Admin) -> String {
    let ready = if *admin.ready.borrow() {
        "ready"
    } else {
        "not ready"
    };
    let rules = admin.rules.borrow().rules.len();
    format!(
        "trommel {version}: {ready}, {rules} rules\n\
         \n\
         /metrics             measurements for Prometheus\n\
         /livez               200 while the process runs\n\
         /readyz              200 until it is told to stop\n\
         /api/v1/findings     findings, newest change first; ?state=open|recovered&limit=1..{LIMIT_MAX}\n\
         /api/v1/rules        rules in use, and what newer ones were refused for\n\
         /api/v1/config       what newer settings were refused for, and which want a restart\n\
         /-/reload            POST reads rules and settings anew\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(value).expect("texts, numbers and lists are always JSON");
    answer(status, JSON, body)
}

fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Findings quote logs: a browser must not guess that they are a page, and no cache keeps them.
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use expect_test::{Expect, expect};
    use http_body_util::BodyExt;
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::record::FindingRow;
    use crate::reload::{Status, reloads};
    use crate::rules::{RuleSet, Severity};
    use crate::telemetry;
    use crate::time::Timestamp;

    /// Answers questions with one open finding, whose JSON tells what was asked.
    async fn own(mut questions: mpsc::Receiver<FindingsQuery>) {
        while let Some(FindingsQuery { filter, reply }) = questions.recv().await {
            let body = format!("{{\"asked\":\"{:?} {}\"}}", filter.state, filter.limit);
            let row = FindingRow {
                finding_id: "5f1d6c0e2b7a4f90".to_owned(),
                finding_key: "0123456789abcdef".to_owned(),
                rule: "r".to_owned(),
                state: State::Open,
                severity: Severity::Warning,
                domain: "runtime_services".to_owned(),
                incident_type: "oom".to_owned(),
                changed_at: Timestamp(0),
                body,
            };
            let _ = reply.send(vec![row]);
        }
    }

    /// Status, type and body of the answer to `method path`, of a trommel that is ready or not.
    async fn ask(ready: bool, method: &str, path: &str) -> (u16, String, String) {
        let (findings, questions) = mpsc::channel(1);
        let owner = tokio::spawn(own(questions));
        let admin = Admin {
            telemetry: telemetry::install(),
            findings,
            rules: watch::channel(Arc::new(RuleSet::default())).1,
            unselected: watch::channel(Vec::new()).1,
            status: watch::channel(Status::loaded(Timestamp(0))).1,
            reloads: reloads().0,
            ready: watch::channel(ready).1,
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .expect("valid");
        let response = respond(&admin, &request).await;
        drop(admin);
        owner.await.expect("ends with its last asker");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("in memory").to_bytes();
        (
            parts.status.as_u16(),
            parts.headers[header::CONTENT_TYPE]
                .to_str()
                .expect("ours")
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
                /api/v1/findings     findings, newest change first; ?state=open|recovered&limit=1..500
                /api/v1/rules        rules in use, and what newer ones were refused for
                /api/v1/config       what newer settings were refused for, and which want a restart
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
            ready
        "#]],
        );
        check(
            "GET",
            "/api/v1/rules",
            expect![[r#"
                200 application/json
                {"loaded_at":"1970-01-01T00:00:00Z","error":null,"error_at":null,"hash":"","rules":[]}
            "#]],
        );
    }

    #[test]
    fn findings_are_filtered_by_state_and_number() {
        check(
            "GET",
            "/api/v1/findings",
            expect![[r#"
            200 application/json
            {"findings":[{"asked":"None 100"}]}
        "#]],
        );
        check(
            "GET",
            "/api/v1/findings?state=open&limit=1",
            expect![[r#"
            200 application/json
            {"findings":[{"asked":"Some(Open) 1"}]}
        "#]],
        );
        check(
            "GET",
            "/api/v1/findings?state=recovered&limit=500",
            expect![[r#"
                200 application/json
                {"findings":[{"asked":"Some(Recovered) 500"}]}
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
            "POST",
            "/metrics",
            expect![[r#"
            405 text/plain; charset=utf-8
            only GET and HEAD
        "#]],
        );
        check(
            "GET",
            "/-/reload",
            expect![[r#"
            405 text/plain; charset=utf-8
            only POST
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
            "GET",
            "/api/v1/config",
            expect![[r#"
            200 application/json
            {"loaded_at":"1970-01-01T00:00:00Z","error":null,"error_at":null,"after_restart":[]}
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
            {"error":"state is `closed`, expected open or recovered"}
        "#]],
        );
        check(
            "GET",
            "/api/v1/findings?limit=0",
            expect![[r#"
            400 application/json
            {"error":"limit is `0`, expected 1 to 500"}
        "#]],
        );
        check(
            "GET",
            "/api/v1/findings?limit=501",
            expect![[r#"
            400 application/json
            {"error":"limit is `501`, expected 1 to 500"}
        "#]],
        );
        check(
            "GET",
            "/api/v1/findings?severity=critical",
            expect![[r#"
            400 application/json
            {"error":"unknown parameter `severity`, expected state or limit"}
        "#]],
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

    #[tokio::test]
    async fn a_database_that_does_not_answer_is_no_empty_list() {
        let (findings, questions) = mpsc::channel(1);
        drop(questions);
        let admin = Admin {
            telemetry: telemetry::install(),
            findings,
            rules: watch::channel(Arc::new(RuleSet::default())).1,
            unselected: watch::channel(Vec::new()).1,
            status: watch::channel(Status::loaded(Timestamp(0))).1,
            reloads: reloads().0,
            ready: watch::channel(true).1,
        };
        let request = Request::builder()
            .uri("/api/v1/findings")
            .body(())
            .expect("valid");
        assert_eq!(respond(&admin, &request).await.status(), 503);
    }
}

//! Which path is answered with what.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::time::timeout;
use xxhash_rust::xxh3::xxh3_64;

use super::events::{Events, events};
use super::findings::{self, LIMIT_MAX};
use super::{Admin, assets, config_answer, page, rules_answer};
use crate::reload::ReloadError;

/// How long a reload may take before who asked for it is told that it goes on.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers one request; with 304 and nothing else if who asks has the answer already.
pub(super) async fn respond<B>(admin: &Admin, request: &Request<B>) -> Response<Answer> {
    let is_get = request.method() == Method::GET;
    if is_get && request.uri().path() == EVENTS {
        return stream(admin);
    }
    let mut response = route(admin, request).await;
    let known = request.headers().get(header::IF_NONE_MATCH);
    let tags = known
        .and_then(|tags| tags.to_str().ok())
        .unwrap_or_default();
    let has = |tag: &HeaderValue| tags.split(',').any(|known| known.trim().as_bytes() == tag);
    if response.headers().get(header::ETAG).is_some_and(has) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_TYPE);
        *response.body_mut() = Full::default();
    }
    response.map(Either::Left)
}

/// All at once, or what goes on.
pub(super) type Answer = Either<Full<Bytes>, Events>;

/// Where pages hear of changes.
const EVENTS: &str = "/events";

fn stream(admin: &Admin) -> Response<Answer> {
    let mut response = Response::new(Either::Right(events(admin.changed.clone())));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn route<B>(admin: &Admin, request: &Request<B>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        if let Some(asset) = assets::at(path) {
            return built_in(asset);
        }
        // A browser says what it takes; whoever does not gets the list of paths at `/`.
        let wants_page = request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
        if (wants_page || path != "/")
            && let Some((status, page)) =
                page::at(admin, path, request.uri().query().unwrap_or("")).await
        {
            return for_people(status, page.into_string());
        }
    }
    let known = matches!(
        path,
        "/" | "/metrics"
            | "/livez"
            | "/readyz"
            | "/api/v1/findings"
            | "/api/v1/rules"
            | "/api/v1/config"
            | RELOAD
    ) || path.starts_with(FINDING);
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
        "/api/v1/findings" => {
            found(findings::list(admin, request.uri().query().unwrap_or("")).await)
        }
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
        _ => match path.strip_prefix(FINDING) {
            Some(id) => found(findings::one(admin, id).await),
            None => answer(StatusCode::OK, TEXT, front_page(admin)),
        },
    }
}

/// What stands before the id of one finding.
const FINDING: &str = "/api/v1/findings/";

fn found(answer: Result<impl Serialize, findings::Refusal>) -> Response<Full<Bytes>> {
    match answer {
        Ok(found) => json(StatusCode::OK, &found),
        Err((status, error)) => json(status, &Failure { error }),
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
struct Failure {
    error: String,
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
         /api/v1/findings     findings, newest change first; ?state=open|recovered&limit=1..{LIMIT_MAX}, and by\n\
         \x20                    severity, domain, type, rule, text, since, until; `next` is `after` of the next page\n\
         /api/v1/findings/ID  one of them with its timeline\n\
         /api/v1/rules        rules in use, and what newer ones were refused for\n\
         /api/v1/config       what newer settings were refused for, and which want a restart\n\
         /-/reload            POST reads rules and settings anew\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(value).expect("texts, numbers and lists are always JSON");
    let tag = format!("\"{:016x}\"", xxh3_64(&body));
    let mut response = answer(status, JSON, body);
    if status == StatusCode::OK {
        let tag = HeaderValue::from_str(&tag).expect("hex digits");
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
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

/// No script but ours, nothing from elsewhere, and in nobody's frame. `data:` is the empty icon.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

fn for_people(status: StatusCode, page: String) -> Response<Full<Bytes>> {
    let mut response = answer(status, "text/html; charset=utf-8", page);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

/// Its path changes with what is in it, so it may be kept for as long as anybody likes.
fn built_in(asset: &assets::Asset) -> Response<Full<Bytes>> {
    let mut response = answer(StatusCode::OK, asset.media_type, asset.text);
    let for_ever = HeaderValue::from_static("private, max-age=31536000, immutable");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, for_ever);
    response
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use http_body_util::BodyExt;
    use tokio::sync::mpsc;

    use super::*;
    use crate::finding::State;
    use crate::record::{FindingRow, Told};
    use crate::rules::Severity;
    use crate::time::Timestamp;
    use crate::web::Question;

    /// Answers questions with findings whose JSON tells what was asked: as many as may be told, up to three.
    async fn own(mut questions: mpsc::Receiver<Question>) {
        let row = |id: usize, body: String| FindingRow {
            finding_id: format!("{id:016x}"),
            finding_key: "0123456789abcdef".to_owned(),
            rule: "r".to_owned(),
            state: State::Open,
            severity: Severity::Warning,
            domain: "runtime_services".to_owned(),
            incident_type: "oom".to_owned(),
            changed_at: Timestamp(7),
            body,
            revision: 1,
            outline: String::new(),
        };
        while let Some(question) = questions.recv().await {
            match question {
                Question::Findings { filter, reply } => {
                    let asked = serde_json::json!({"asked": format!("{filter:?}")}).to_string();
                    let rows = (0..filter.limit.min(3)).map(|id| row(id, asked.clone()));
                    let _ = reply.send(rows.collect());
                }
                Question::Finding { finding_id, reply } => {
                    let told = (finding_id == "5f1d6c0e2b7a4f90").then(|| Told {
                        finding: row(0, "{\"a\":1}".to_owned()),
                        outlines: vec![
                            "{\"revision\":1}".to_owned(),
                            "{\"revision\":2}".to_owned(),
                        ],
                    });
                    let _ = reply.send(told);
                }
            }
        }
    }

    /// Status, type and body of the answer to `method path`, of a trommel that is ready or not.
    async fn ask(ready: bool, method: &str, path: &str) -> (u16, String, String) {
        let (sender, questions) = mpsc::channel(1);
        let owner = tokio::spawn(own(questions));
        let admin = Admin::without_rules(sender, ready);
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
                /api/v1/findings     findings, newest change first; ?state=open|recovered&limit=1..500, and by
                                     severity, domain, type, rule, text, since, until; `next` is `after` of the next page
                /api/v1/findings/ID  one of them with its timeline
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
    fn findings_come_in_pages_by_any_of_their_parts() {
        check(
            "GET",
            "/api/v1/findings?limit=2&after=5:0000000000000009",
            expect![[r#"
                200 application/json
                {"findings":[{"asked":"FindingFilter { state: None, severity: None, domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: Some((Timestamp(5), \"0000000000000009\")), limit: 3 }"},{"asked":"FindingFilter { state: None, severity: None, domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: Some((Timestamp(5), \"0000000000000009\")), limit: 3 }"}],"next":"7:0000000000000001"}
            "#]],
        );
        check(
            "GET",
            "/api/v1/findings?severity=critical&domain=d&type=t&rule=r&text=a%20b%26c+d&since=2026-11-29T12:00:00Z&until=2026-11-30T12:00:00Z",
            expect![[r#"
                200 application/json
                {"findings":[{"asked":"FindingFilter { state: None, severity: Some(Critical), domain: Some(\"d\"), incident_type: Some(\"t\"), rule: Some(\"r\"), text: Some(\"a b&c d\"), since: Some(Timestamp(1795953600000000000)), until: Some(Timestamp(1796040000000000000)), after: None, limit: 101 }"},{"asked":"FindingFilter { state: None, severity: Some(Critical), domain: Some(\"d\"), incident_type: Some(\"t\"), rule: Some(\"r\"), text: Some(\"a b&c d\"), since: Some(Timestamp(1795953600000000000)), until: Some(Timestamp(1796040000000000000)), after: None, limit: 101 }"},{"asked":"FindingFilter { state: None, severity: Some(Critical), domain: Some(\"d\"), incident_type: Some(\"t\"), rule: Some(\"r\"), text: Some(\"a b&c d\"), since: Some(Timestamp(1795953600000000000)), until: Some(Timestamp(1796040000000000000)), after: None, limit: 101 }"}]}
            "#]],
        );
        for query in [
            "severity=bad",
            "since=yesterday",
            "until=",
            "after=7",
            "after=x:y",
            "limit=501",
            "colour=red",
        ] {
            check(
                "GET",
                &format!("/api/v1/findings?{query}"),
                match query {
                    "severity=bad" => expect![[r#"
                        400 application/json
                        {"error":"severity is `bad`, expected info, warning or critical"}
                    "#]],
                    "since=yesterday" => expect![[r#"
                        400 application/json
                        {"error":"since is `yesterday`, expected a time such as 2026-11-29T12:00:00Z"}
                    "#]],
                    "until=" => expect![[r#"
                        400 application/json
                        {"error":"until is ``, expected a time such as 2026-11-29T12:00:00Z"}
                    "#]],
                    "after=7" => expect![[r#"
                        400 application/json
                        {"error":"after is `7`, expected what `next` of the page before said"}
                    "#]],
                    "after=x:y" => expect![[r#"
                        400 application/json
                        {"error":"after is `x:y`, expected what `next` of the page before said"}
                    "#]],
                    "limit=501" => expect![[r#"
                        400 application/json
                        {"error":"limit is `501`, expected 1 to 500"}
                    "#]],
                    _ => expect![[r#"
                        400 application/json
                        {"error":"unknown parameter `colour`, expected state, severity, domain, type, rule, text, since, until, after or limit"}
                    "#]],
                },
            );
        }
    }

    #[test]
    fn one_finding_has_its_timeline() {
        check(
            "GET",
            "/api/v1/findings/5f1d6c0e2b7a4f90",
            expect![[r#"
            200 application/json
            {"finding":{"a":1},"timeline":[{"revision":1},{"revision":2}]}
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

    #[tokio::test]
    async fn who_has_an_answer_already_gets_none() {
        let (sender, questions) = mpsc::channel(1);
        tokio::spawn(own(questions));
        let admin = Admin::without_rules(sender, true);
        let ask = async |tags: &str| {
            let request = Request::builder()
                .uri("/api/v1/findings")
                .header(header::IF_NONE_MATCH, tags);
            let response = respond(&admin, &request.body(()).expect("valid")).await;
            let (parts, body) = response.into_parts();
            let tag = parts.headers[header::ETAG]
                .to_str()
                .expect("ours")
                .to_owned();
            let body = body.collect().await.expect("in memory").to_bytes();
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

    #[test]
    fn findings_are_filtered_by_state_and_number() {
        check(
            "GET",
            "/api/v1/findings",
            expect![[r#"
                200 application/json
                {"findings":[{"asked":"FindingFilter { state: None, severity: None, domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: None, limit: 101 }"},{"asked":"FindingFilter { state: None, severity: None, domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: None, limit: 101 }"},{"asked":"FindingFilter { state: None, severity: None, domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: None, limit: 101 }"}]}
            "#]],
        );
        check(
            "GET",
            "/api/v1/findings?state=open&limit=1",
            expect![[r#"
                200 application/json
                {"findings":[{"asked":"FindingFilter { state: Some(Open), severity: None, domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: None, limit: 2 }"}],"next":"7:0000000000000000"}
            "#]],
        );
        check(
            "GET",
            "/api/v1/findings?state=recovered&limit=500",
            expect![[r#"
                200 application/json
                {"findings":[{"asked":"FindingFilter { state: Some(Recovered), severity: None, domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: None, limit: 501 }"},{"asked":"FindingFilter { state: Some(Recovered), severity: None, domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: None, limit: 501 }"},{"asked":"FindingFilter { state: Some(Recovered), severity: None, domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: None, limit: 501 }"}]}
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
                404 application/json
                {"error":"no finding ``: it may have been forgotten, `history_max_age` and `history_bytes_max` say when"}
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
                200 application/json
                {"findings":[{"asked":"FindingFilter { state: None, severity: Some(Critical), domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: None, limit: 101 }"},{"asked":"FindingFilter { state: None, severity: Some(Critical), domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: None, limit: 101 }"},{"asked":"FindingFilter { state: None, severity: Some(Critical), domain: None, incident_type: None, rule: None, text: None, since: None, until: None, after: None, limit: 101 }"}]}
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
        let (sender, questions) = mpsc::channel(1);
        drop(questions);
        let admin = Admin::without_rules(sender, true);
        let request = Request::builder()
            .uri("/api/v1/findings")
            .body(())
            .expect("valid");
        assert_eq!(respond(&admin, &request).await.status(), 503);
    }
}

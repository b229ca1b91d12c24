use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

use super::*;
use crate::finding::Outline;
use crate::time::Timestamp;

/// A finding as it is stored, with a change.
fn stored(change: impl FnOnce(&mut serde_json::Value)) -> FindingRow {
    let mut body: serde_json::Value =
        serde_json::from_str(include_str!("testdata/finding.json")).expect("JSON");
    change(&mut body);
    let finding: Finding = serde_json::from_value(body.clone()).expect("a finding");
    FindingRow {
        finding_id: finding.finding_id.clone(),
        finding_key: "0123456789abcdef".to_owned(),
        rule: finding.rule.id.clone(),
        state: finding.state,
        severity: finding.severity,
        domain: finding.domain.clone(),
        incident_type: finding.incident_type.clone(),
        changed_at: Timestamp::from_parts(1_790_000_000, 0),
        body: body.to_string(),
        revision: finding.revision,
        outline: serde_json::to_string(&Outline::from(&finding)).expect("JSON"),
    }
}

/// Status and text of the page at `path` of a trommel that has `rows`.
async fn shown(rows: Vec<FindingRow>, path: &str) -> (u16, String) {
    shown_of(Admin::without_rules(rows, true), path).await
}

/// Status and text of the page at `path` of `admin`.
async fn shown_of(admin: Admin, path: &str) -> (u16, String) {
    let request = Request::builder()
        .uri(path)
        .header(header::ACCEPT, "text/html,*/*;q=0.8")
        .body(Body::empty())
        .expect("valid");
    let routes = admin.routes();
    let response = routes.oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    assert_eq!(parts.headers[header::CONTENT_SECURITY_POLICY], POLICY);
    let body = to_bytes(body, usize::MAX).await.expect("in memory");
    let page = String::from_utf8(body.to_vec()).expect("text");
    (parts.status.as_u16(), page)
}

/// What stands in the page's heading.
fn heading(page: &str) -> &str {
    let (_, rest) = page.split_once("<h1").expect("a heading");
    let (_, rest) = rest.split_once('>').expect("a tag");
    rest.split_once("</h1>").expect("its end").0
}

#[tokio::test]
async fn the_answer_comes_first_and_trommel_itself_is_apart() {
    let (status, page) = shown(vec![], "/").await;
    assert_eq!((status, heading(&page)), (200, "Nothing is wrong"));
    assert!(
        page.contains("The tee is complete: everything that is pushed is looked at"),
        "{page}"
    );

    let own = stored(|body| {
        body["finding_id"] = "00000000000000ff".into();
        body["rule"]["id"] = "trommel_tee_silent".into();
        body["summary"] = "nothing received since 14:02".into();
    });
    let critical = stored(|body| {
        body["finding_id"] = "00000000000000fe".into();
        body["severity"] = "critical".into();
        body["severity_max"] = "critical".into();
    });
    let (_, page) = shown(vec![own.clone()], "/").await;
    assert_eq!(heading(&page), "Nothing is known to be wrong");
    let (_, page) = shown(vec![stored(|_| {}), own, critical], "/").await;
    assert_eq!(heading(&page), "1 critical, 1 warning open");
    assert!(
        page.contains(
            r#"Blind since <time datetime="2026-09-21T13:22:00Z" title="2026-09-21T13:22:00Z">2026-09-21 13:22:00 UTC</time>: <a href="/findings/00000000000000ff">nothing received since 14:02</a>"#
        ),
        "{page}"
    );
    for part in [
        "The last hours",
        "Entries a second: unknown",
        "How it stands",
        "none wait",
        "not asked for",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.contains("<h2>Trommel itself</h2>"), "{page}");
}

#[tokio::test]
async fn whatever_a_log_says_is_text() {
    let hostile = "</code><script>alert(1)</script>\u{202e}\u{0}\u{fffd}\" onload=\"";
    let row = stored(|body| {
        body["summary"] = hostile.into();
        body["evidence"]["lines"][0]["line"] = hostile.into();
        body["evidence"]["lines"][0]["labels"] = serde_json::json!({hostile: hostile});
        body["resource_scope"] = serde_json::json!({hostile: hostile});
        body["logs"]["url"] = "javascript:alert(1)".into();
        body["runbook"] = "data:text/html,x".into();
        body["rule"]["id"] = hostile.into();
        body["hints"] = serde_json::json!([hostile]);
    });
    let one = format!("/findings/{}", row.finding_id);
    for path in ["/", "/findings", one.as_str()] {
        let (status, page) = shown(vec![row.clone()], path).await;
        assert_eq!(status, 200, "{path}");
        assert!(!page.contains("<script>"), "{path}: {page}");
        assert!(page.contains("&lt;script&gt;alert(1)"), "{path}: {page}");
        assert!(!page.contains("\" onload=\""), "{path}: {page}");
        assert!(
            !page.contains("javascript:") && !page.contains("data:text"),
            "{path}: {page}"
        );
    }
}

#[tokio::test]
async fn filters_live_in_the_address_and_pages_go_on() {
    let rows: Vec<_> = (0..=SHOWN_MAX)
        .map(|n| stored(|body| body["finding_id"] = format!("{n:016x}").into()))
        .collect();
    let (_, page) = shown(
        rows,
        "/findings?state=open&severity=&text=pool+exhausted&limit=7",
    )
    .await;
    assert!(
        page.contains(r#"<option value="open" selected>open</option>"#),
        "{page}"
    );
    assert!(
        page.contains(r#"value="pool exhausted""#) || page.contains("None are known that fit."),
        "{page}"
    );

    let rows: Vec<_> = (0..=SHOWN_MAX)
        .map(|n| stored(|body| body["finding_id"] = format!("{n:016x}").into()))
        .collect();
    let (_, page) = shown(rows, "/findings?state=open&after=9000000000000000000:z").await;
    let (status, _) = shown(vec![], "/findings?state=ajar").await;
    assert_eq!(status, 400);
    let next = "/findings?state=open&amp;after=1790000000000000000%3A0000000000000001";
    assert!(page.contains(next), "{page}");
}

#[tokio::test]
async fn one_finding_tells_all_there_is() {
    let row = stored(|body| body["detector"]["coverage"] = "gap".into());
    let (status, page) = shown(vec![row.clone()], &format!("/findings/{}", row.finding_id)).await;
    assert_eq!(status, 200);
    for text in [
        "Do not take a recovery for the end of it.",
        "What the log says",
        "Timeline",
        "<strong>opened</strong>",
        "What may be done",
        "UTC</time>",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let (status, page) = shown(vec![row], "/findings/0").await;
    assert_eq!(status, 404);
    assert!(page.contains("no finding `0`"), "{page}");
}

#[tokio::test]
async fn a_rule_has_a_page_with_what_is_written_and_what_each_key_means() {
    let (status, page) = shown_of(Admin::with_shipped_rules(), "/rules/tls_x509").await;
    assert_eq!(status, 200);
    for text in [
        "<span class=\"value\">tls_x509</span>",
        "href=\"#key-incident_type\"",
        "id=\"key-incident_type\"",
        "(ships with trommel)",
        "✓ as it should",
        "Run the tests that name it",
        "/findings?rule=tls_x509",
        "name=\"threshold\"",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let (status, page) = shown_of(Admin::with_shipped_rules(), "/rules/trommel_overloaded").await;
    assert_eq!(status, 200);
    assert!(page.contains("Trommel finds this about itself"), "{page}");
    let (status, page) = shown_of(Admin::with_shipped_rules(), "/rules/tls_x508").await;
    assert_eq!(status, 404);
    assert!(page.contains("did you mean `tls_x509`?"), "{page}");
}

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tokio::sync::watch;
use tower::ServiceExt;

use super::*;
use crate::audit::{Entry, What};
use crate::finding::{Counts, Outline};
use crate::record::Commit;
use crate::record::testing::archive_with;
use crate::rules::{Item, LoadOptions, Match, Rule, RuleSet, SourceText, load};
use crate::telemetry;
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
            r#"Blind since <time datetime="2026-09-21T13:22:00Z" title="2026-09-21T13:22:00Z">2026-09-21 13:22:00 UTC</time>: <a href="/findings/00000000000000ff"><bdi>nothing received since 14:02</bdi></a>"#
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
        assert!(page.contains("⟨U+202E⟩␀\u{fffd}"), "{path}: {page}");
        assert!(!page.contains(['\u{202e}', '\0']), "{path}: {page}");
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
    assert!(page.contains(r#"value="pool exhausted""#), "{page}");
    for choice in ["runtime_services", "database_unavailable", "pool_exhausted"] {
        let option = format!(r#"<option value="{choice}">"#);
        assert!(page.contains(&option), "{option}: {page}");
    }
    let path = "/findings?type=gone&label=namespace=shop&label=pod=&label=&since=2026-09-21T13:20&until=2026-09-22T00:00:00%2B02:00";
    let (status, page) = shown(vec![stored(|_| {})], path).await;
    assert_eq!(status, 200, "{page}");
    for part in [
        r#"<option value="gone" selected>"#,
        r#"<details class="more" open>"#,
        r#"name="label" value="namespace=shop""#,
        r#"name="label" value="pod=""#,
        r#"name="since" value="2026-09-21T13:20:00""#,
        r#"name="until" value="2026-09-21T22:00:00""#,
        "/api/v1/findings?type=gone&amp;label=namespace%3Dshop&amp;label=pod%3D&amp;since=2026-09-21T13%3A20%3A00Z",
        "None are known that fit.",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }

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
async fn what_matched_is_marked_by_the_rule_in_use() {
    let wanted = Match {
        all: vec![Item::Text {
            text: "pool <".to_owned(),
            ignore_case: false,
        }],
        ..Match::default()
    };
    let rules = RuleSet {
        rules: vec![Arc::new(Rule::new("pool_exhausted", wanted))],
        ..RuleSet::default()
    };
    let row = stored(|body| body["evidence"]["lines"][0]["line"] = "é pool <exhausted>".into());
    let id = row.finding_id.clone();
    let routes = Admin {
        rules: watch::channel(Arc::new(rules)).1,
        ..Admin::without_rules(vec![row], true)
    }
    .routes();
    let ask = async |path: String| {
        let request = Request::builder().uri(path).body(Body::empty());
        let response = routes.clone().oneshot(request.expect("valid")).await;
        let body = to_bytes(response.expect("infallible").into_body(), usize::MAX).await;
        String::from_utf8(body.expect("in memory").to_vec()).expect("text")
    };
    let page = ask(format!("/findings/{id}")).await;
    let marked = "<bdi>é <mark>pool &lt;</mark>exhausted&gt;</bdi>";
    assert!(page.contains(marked), "{page}");
    let told = ask(format!("/api/v1/findings/{id}")).await;
    assert!(
        told.contains(r#""marks":[[{"start":2,"end":8}]]"#),
        "{told}"
    );
}

#[test]
fn the_course_of_a_finding_is_drawn_and_said() {
    let finding: Finding =
        serde_json::from_str(include_str!("testdata/finding.json")).expect("a finding");
    let at = |minute: i64, severity, state, window| Outline {
        time: Timestamp::from_parts(1_790_000_000 + 60 * minute, 0),
        severity,
        state,
        counts: Counts {
            window,
            ..finding.counts
        },
        ..Outline::from(&finding)
    };
    let timeline = [
        at(0, Severity::Warning, State::Open, 5),
        at(10, Severity::Critical, State::Open, 20),
        at(20, Severity::Critical, State::Open, 10),
        at(30, Severity::Critical, State::Recovered, 0),
    ];
    let drawn = course::course(&timeline).into_string();
    let said = "4 revisions: warning, then critical, then over. In the window 5 at first, 0 at last, 20 at most";
    assert!(drawn.contains(&format!("aria-label=\"{said}\"")), "{drawn}");
    // The worse it is the higher, and there is none once it is over.
    assert!(
        drawn.contains(r#"<rect class="bar warning" x="0.0" y="8" width="119.0" height="16">"#),
        "{drawn}"
    );
    assert!(
        drawn.contains(r#"<rect class="bar critical" x="119.0" y="0" width="119.0" height="24">"#),
        "{drawn}"
    );
    assert_eq!(drawn.matches("<rect").count(), 3, "{drawn}");
    assert!(
        drawn.contains(r#"d="M0.0 66.5H119.0V29.0H238.0V54.0H357.0V79.0H360.0""#),
        "{drawn}"
    );
    assert_eq!(course::course(&timeline[..1]).into_string(), "");
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
        // Without a script there is nothing to copy with.
        r#"<button type="button" data-copy="as-text" hidden>Copy</button>"#,
        "connection pool exhausted in shop/checkout: 12 errors in 5m [warning, open]",
        "/findings?label=namespace%3Dshop",
        "/findings?rule=db_unavailable",
        "<h3>By a program</h3><ul><li><bdi>observe</bdi></li>",
        "<h3>After approval</h3><ul><li><bdi>restart the workload</bdi></li></ul>",
        "<h3>Only by people</h3><ul><li><bdi>change the database</bdi></li></ul>",
        "https://grafana.example/explore",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("<mark>"), "the rule is gone: {page}");
    assert!(
        !page.contains("class=\"bar"),
        "one revision is no course: {page}"
    );
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

/// With rules of which one is for another environment, one is switched off, and one is warned of.
fn of_production() -> RuleSet {
    let source = SourceText {
        name: "shop.yaml".to_owned(),
        text: "defaults: {incident_type: error_spike}
rules:
  - id: at_home
    match: basket is gone
    by: [namespace, app]
    environments: [production, staging]
    unless: {app: 'test.*'}
    catches: [basket is gone]
  - {id: elsewhere, match: basket is lost, environments: [staging, canary], catches: [basket is lost]}
  - {id: switched_off, match: basket is late, enabled: false}
"
        .to_owned(),
    };
    let loaded = load(&[source], &LoadOptions::of_instance("production"));
    loaded
        .set
        .unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

#[tokio::test]
async fn the_list_of_rules_has_those_that_are_off_and_what_is_to_say_of_each() {
    // Counters are the process's: nobody else counts for this id.
    let telemetry = telemetry::install();
    telemetry::count_rule_time("at_home".to_owned(), std::time::Duration::from_millis(1500));
    let admin = || Admin {
        telemetry: telemetry.clone(),
        rules: watch::channel(Arc::new(of_production())).1,
        ..Admin::without_rules(Vec::new(), true)
    };
    let (status, page) = shown_of(admin(), "/rules").await;
    assert_eq!(
        (status, heading(&page)),
        (200, "1 rules, and 2 that are off")
    );
    let row = |id: &str| {
        let (_, rest) = page.split_once(&format!("<tr id=\"{id}\">")).expect(id);
        rest.split_once("</tr>").expect("its end").0
    };
    for (id, parts) in [
        (
            "at_home",
            &[
                "one finding for each <bdi>namespace, app</bdi>",
                "in <bdi>production, staging</bdi>",
                "<summary>1 warning</summary>",
                "looks like an expression",
                "shop.yaml:7:",
                "<td>1.5 s</td>",
            ][..],
        ),
        (
            "elsewhere",
            &[
                "off here",
                "one finding at a time",
                "in <bdi>staging, canary</bdi>",
            ],
        ),
        ("switched_off", &["switched off"]),
    ] {
        for part in parts {
            assert!(row(id).contains(part), "{id}: {part}: {}", row(id));
        }
    }
    assert!(!row("at_home").contains(" off"), "{}", row("at_home"));
    let (_, page) = shown_of(admin(), "/rules?sort=time&text=canary").await;
    assert!(page.contains("<tr id=\"elsewhere\">") && !page.contains("<tr id=\"at_home\">"));
    let (_, told) = json_of(admin(), "/api/v1/rules").await;
    let ids = |list: &str| -> Vec<_> {
        let rules = told[list].as_array().expect("a list").iter();
        rules
            .map(|rule| (rule["id"].clone(), rule["off"].clone()))
            .collect()
    };
    assert_eq!(ids("rules"), [("at_home".into(), serde_json::Value::Null)]);
    assert_eq!(
        ids("off"),
        [
            ("elsewhere".into(), "elsewhere".into()),
            ("switched_off".into(), "disabled".into())
        ]
    );
    let rule = &told["rules"][0];
    assert_eq!(rule["warnings"][0]["line"], 7);
    assert_eq!(rule["activity"]["seconds"], 1.5);
    assert_eq!(rule["environments"][1], "staging");
}

/// Status and JSON of what is at `path` of `admin`.
async fn json_of(admin: Admin, path: &str) -> (u16, serde_json::Value) {
    let request = Request::builder().uri(path).body(Body::empty());
    let response = admin.routes().oneshot(request.expect("valid")).await;
    let (parts, body) = response.expect("infallible").into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("in memory");
    (
        parts.status.as_u16(),
        serde_json::from_slice(&body).expect("JSON"),
    )
}

#[tokio::test]
async fn what_people_write_into_the_audit_shows_what_cannot_be_seen() {
    let hostile = "<b>\u{202e}\u{200b}\u{7}";
    let entry = Entry {
        id: "0123456789abcdef".to_owned(),
        time: Timestamp::new(0),
        who: hostile.to_owned(),
        what: What::RuleChanged,
        target: hostile.to_owned(),
        reason: hostile.to_owned(),
        diff: format!("-{hostile}\n+x\n"),
    };
    let admin = Admin {
        archive: archive_with(&Commit {
            audit: vec![entry],
            ..Commit::default()
        }),
        ..Admin::without_rules(Vec::new(), true)
    };
    let (status, page) = shown_of(admin, "/audit").await;
    assert_eq!(status, 200);
    let shown = "&lt;b&gt;⟨U+202E⟩⟨U+200B⟩␇";
    assert_eq!(page.matches(shown).count(), 4, "{page}");
    assert!(page.contains(&format!("-{shown}\n+x\n")), "{page}");
    assert!(!page.contains(['\u{202e}', '\u{200b}', '\u{7}']), "{page}");
}

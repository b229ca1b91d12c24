//! What people do at the admin port: who may, what comes of it, and that it is written down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::http::{Answer, Request};
use crate::support::loki::Entry;
use crate::support::trommel::{Setup, Trommel};
use crate::support::wait;

/// Each line with `boom` is a finding of its pod.
const RULES: &str = "
rules:
  - id: boom
    match: boom
    by: [pod]
    recover: 1h
    cooldown: 1h
    incident_type: workload_failure
";

/// Timers do not wait long for what comes late.
const SETTINGS: &str = "detect: {late_by: 1s}\n";

/// An entry of now; each call makes another one.
fn entry(pod: &str, line: &str) -> Entry {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("the clock is past 1970").as_nanos();
    Entry {
        labels: [("pod".to_owned(), pod.to_owned())].into(),
        at: i64::try_from(now).expect("before 2262"),
        line: format!("{line} #{number}"),
    }
}

fn request(method: &str, path: &str, media_type: &str, body: &str) -> Request {
    let request = Request {
        method: method.to_owned(),
        body: body.as_bytes().to_owned(),
        ..Request::get(path)
    };
    match media_type {
        "" => request,
        media_type => request.with_header("Content-Type", media_type),
    }
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

fn post(trommel: &Trommel, body: &Value) -> Answer {
    let body = body.to_string();
    trommel.admin_request(&request(
        "POST",
        "/api/v1/silences",
        "application/json",
        &body,
    ))
}

fn silences(trommel: &Trommel) -> Vec<Value> {
    let answer = trommel.admin("/api/v1/silences");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let silences = json_of(&answer)["silences"].as_array().cloned();
    silences.expect("a list")
}

#[test]
fn a_silence_holds_back_what_it_says_over_kill_9_and_reload_until_it_is_ended() {
    let setup = Setup::new(RULES).with_data().with_settings(SETTINGS);
    let trommel = setup.start();
    let wanted = json!({"rule": "boom", "matchers": "pod=silent", "duration": "1h", "reason": "moving house"});
    let made = post(&trommel, &wanted);
    assert_eq!(made.status, 201, "{}", made.text());
    let id = json_of(&made)["id"].as_str().expect("an id").to_owned();
    // Answered is on disk.
    trommel.kill();

    let trommel = setup.start();
    let listed = silences(&trommel);
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["state"]),
        (&json!(id), &json!("active"))
    );
    trommel.push(&[entry("silent", "boom"), entry("loud", "boom")]);
    let heard = |trommel: &Trommel, pod: &str| {
        let events = trommel.events();
        events
            .into_iter()
            .find(|event| event.data_text("dedupe_key") == key_of(pod))
    };
    wait::until("the other finding", || heard(&trommel, "loud"));
    wait::until("the gauge", || {
        (trommel.series("trommel_silences_active")? >= 1.0).then_some(())
    });
    let reload = request("POST", "/-/reload", "", "");
    assert_eq!(trommel.admin_request(&reload).status, 200);
    trommel.push(&[entry("silent", "boom"), entry("other", "boom")]);
    wait::until("another finding", || heard(&trommel, "other"));
    assert!(heard(&trommel, "silent").is_none());
    let page = trommel.admin_request(&Request::get("/silences").with_header("Accept", "text/html"));
    assert!(page.text().contains("moving house"), "{}", page.text());

    let path = format!("/api/v1/silences/{id}");
    let end = request("DELETE", &path, "", "");
    let ended = trommel.admin_request(&end);
    assert_eq!(
        (ended.status, &json_of(&ended)["state"]),
        (200, &json!("ended"))
    );
    assert_eq!(trommel.admin_request(&end).status, 404);
    let told = wait::until("what was held back", || {
        trommel.push(&[entry("loud", "all is well")]);
        heard(&trommel, "silent")
    });
    assert_eq!(
        (told.state(), told.data_text("reason")),
        ("observed", "window_ended")
    );
    assert!(
        told.data("counts")["suppressed"].as_u64() >= Some(1),
        "{told:?}"
    );

    let audit = json_of(&trommel.admin("/api/v1/audit"));
    let whats: Vec<_> = audit["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["what"].clone())
        .collect();
    assert_eq!(whats, ["silence.ended", "reloaded", "silence.created"]);
    assert_eq!(audit["entries"][2]["who"], "anonymous");
    assert_eq!(audit["entries"][2]["reason"], "moving house");
    let whats: Vec<_> = trommel
        .audit()
        .iter()
        .map(|it| it["type"].clone())
        .collect();
    for what in ["reloaded", "silence.ended"] {
        assert!(
            whats.contains(&json!(format!("sre.detector.{what}"))),
            "{whats:?}"
        );
    }
    let tag = trommel.admin("/api/v1/audit");
    let tag = tag.header("etag").expect("a tag");
    let again = Request::get("/api/v1/audit").with_header("If-None-Match", tag);
    assert_eq!(trommel.admin_request(&again).status, 304);
    let page = json_of(&trommel.admin("/api/v1/audit?limit=2"));
    let next = format!("/api/v1/audit?limit=2&after={}", page["next"]);
    let next = json_of(&trommel.admin(&next));
    assert_eq!(
        (&next["entries"][0], next.get("next")),
        (&audit["entries"][2], None)
    );
}

#[test]
fn who_silences_a_finding_hears_nothing_of_the_next_one_of_its_key_either() {
    let rules = RULES.replace("recover: 1h", "recover: {match: all is well}");
    let rules = rules.replace("cooldown: 1h", "cooldown: 0s");
    let trommel = Setup::new(&rules).with_settings(SETTINGS).start();
    let heard = |pod: &str, state: &str| -> Vec<String> {
        let events = trommel.events().into_iter();
        let of_pod = events.filter(|event| event.data_text("dedupe_key") == key_of(pod));
        let of_state = of_pod.filter(|event| event.state() == state);
        of_state
            .map(|event| event.data_text("finding_id").to_owned())
            .collect()
    };
    let wait_for = |pod: &str, state: &str, count: usize| {
        wait::until(&format!("{pod} {state} for the {count}."), || {
            // Timers wait for the log to go on.
            trommel.push(&[entry("beside", "nothing")]);
            (heard(pod, state).len() >= count).then_some(())
        });
    };
    trommel.push(&[entry("a", "boom"), entry("b", "boom")]);
    wait_for("a", "observed", 1);
    trommel.push(&[entry("a", "all is well"), entry("b", "all is well")]);
    wait_for("a", "recovered", 1);
    wait_for("b", "recovered", 1);

    // Also of one that is over: it will come back.
    let first = heard("a", "observed").remove(0);
    let page = trommel.admin(&format!("/findings/{first}")).text();
    assert!(page.contains("Silence this"), "{page}");
    let wanted = json!({"finding": first, "duration": "1h", "reason": "it flaps"});
    let made = post(&trommel, &wanted);
    assert_eq!(made.status, 201, "{}", made.text());
    let made = json_of(&made);
    assert_eq!(
        (&made["rule"], &made["key"]["dedupe_key"]),
        (&json!("boom"), &json!("boom{pod=a}"))
    );
    let page = trommel.admin(&format!("/findings/{first}")).text();
    assert!(page.contains("Nothing is said of it until"), "{page}");
    for round in 2..4 {
        trommel.push(&[entry("a", "boom"), entry("b", "boom")]);
        wait_for("b", "observed", round);
        trommel.push(&[entry("a", "all is well"), entry("b", "all is well")]);
        wait_for("b", "recovered", round);
    }
    assert_eq!(heard("a", "observed"), [first]);
}

fn key_of(pod: &str) -> String {
    format!("boom{{pod={pod}}}")
}

#[test]
fn silences_that_mean_nothing_are_refused() {
    let trommel = Setup::new(RULES).start();
    let refused = |body: Value| {
        let answer = post(&trommel, &body);
        (
            answer.status,
            json_of(&answer)["error"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    for (body, status, why) in [
        (
            json!({"rule": "none", "duration": "1h", "reason": "x"}),
            404,
            "no rule `none` is in use",
        ),
        (
            json!({"finding": "0", "duration": "1h", "reason": "x"}),
            404,
            "no finding `0`",
        ),
        (
            json!({"rule": "boom", "duration": "1s", "reason": "x"}),
            400,
            "expected 1m to 30d",
        ),
        (
            json!({"rule": "boom", "duration": "31d", "reason": "x"}),
            400,
            "expected 1m to 30d",
        ),
        (
            json!({"rule": "boom", "duration": "1h"}),
            400,
            "expected a `reason`",
        ),
        (
            json!({"duration": "1h", "reason": "x"}),
            400,
            "expected either `finding` or `rule`",
        ),
        (
            json!({"finding": "0", "rule": "boom", "duration": "1h", "reason": "x"}),
            400,
            "expected either `finding` or `rule`",
        ),
        (
            json!({"finding": "0", "matchers": "pod=a", "duration": "1h", "reason": "x"}),
            400,
            "`matchers` are for a `rule`",
        ),
        (
            json!({"rule": "boom", "matchers": "pod=", "duration": "1h", "reason": "x"}),
            400,
            "`matchers`: ",
        ),
        (
            json!({"rule": "boom", "duration": "1h", "reason": "x", "until": "y"}),
            400,
            "unknown field `until`",
        ),
    ] {
        let (found, said) = refused(body.clone());
        assert!(
            found == status && said.contains(why),
            "{body}: {found} {said}"
        );
    }
    assert!(silences(&trommel).is_empty());
}

#[test]
fn a_page_of_another_site_changes_nothing_and_a_form_of_our_own_does() {
    let trommel = Setup::new(RULES).start();
    let address = trommel.admin_address();
    let own = format!("http://{address}");
    let body = json!({"rule": "boom", "duration": "1h", "reason": "x"}).to_string();
    let silence = request("POST", "/api/v1/silences", "application/json", &body);
    let reload = request("POST", "/-/reload", "", "");
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        for request in [&silence, &reload] {
            let answer = trommel.admin_request(&request.clone().with_header(name, value));
            assert_eq!(answer.status, 403, "{name}: {value}: {}", answer.text());
        }
    }
    let refused = |reason: &str| {
        let series = format!("trommel_changes_refused_total{{reason=\"{reason}\"}}");
        trommel.series(&series)
    };
    assert_eq!((refused("site"), refused("token")), (Some(8.0), None));
    let of_page = |request: Request| {
        let request = request.with_header("Origin", &own);
        request.with_header("Sec-Fetch-Site", "same-origin")
    };
    assert_eq!(trommel.admin_request(&reload).status, 200);
    assert_eq!(trommel.admin_request(&of_page(reload)).status, 200);

    let form = "application/x-www-form-urlencoded";
    let fields = "rule=boom&matchers=&duration=1h&reason=moving+house";
    let without = request("POST", "/silences", form, fields);
    assert_eq!(trommel.admin_request(&of_page(without)).status, 403);
    assert_eq!((refused("site"), refused("token")), (Some(8.0), Some(1.0)));
    assert!(silences(&trommel).is_empty());
    let page = trommel.admin("/silences").text();
    let (_, rest) = page.split_once("name=\"token\" value=\"").expect("a form");
    let (token, _) = rest.split_once('"').expect("its end");
    let with = request(
        "POST",
        "/silences",
        form,
        &format!("{fields}&token={token}"),
    );
    let elsewhere = with.clone().with_header("Origin", "http://evil.example");
    assert_eq!(trommel.admin_request(&elsewhere).status, 403);
    let made = trommel.admin_request(&of_page(with));
    assert_eq!(made.status, 303, "{}", made.text());
    let listed = silences(&trommel);
    assert_eq!(listed.len(), 1);
    let id = listed[0]["id"].as_str().expect("an id");
    assert_eq!(made.header("location"), Some(&*format!("/silences#{id}")));
    let path = format!("/silences/{id}/end");
    let end = request("POST", &path, form, &format!("token={token}"));
    assert_eq!(trommel.admin_request(&of_page(end)).status, 303);
    assert_eq!(silences(&trommel)[0]["state"], "ended");
}

#[test]
fn where_everybody_may_look_without_credentials_nobody_acts() {
    let setup = Setup::new(RULES)
        .arg("--insecure-admin")
        .with_admin_for_everybody();
    let trommel = setup.start();
    let port = trommel.admin_address().port();
    let here = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let body = json!({"rule": "boom", "duration": "1h", "reason": "x"}).to_string();
    let silence = request("POST", "/api/v1/silences", "application/json", &body);
    let mut client = crate::support::http::Client::with_timeout(here, wait::PATIENCE);
    let answer = client.send(&silence).expect("an answer");
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(
        answer.text().contains("set admin.token_files"),
        "{}",
        answer.text()
    );
    // Programs have files read anew as before.
    let answer = client
        .send(&request("POST", "/-/reload", "", ""))
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

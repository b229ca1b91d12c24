//! Push requests with known answers, from Loki's and Alloy's own test tables, over HTTP to the real binary.
//!
//! What they decode to, and the answers under limits smaller than the settings allow, are shown in the push room's own
//! tests; here every one meets the settings that an operator gets.

use std::path::Path;

use serde_json::Value;

use crate::support::http::{Client, Request};
use crate::support::incident::{Incident, RULES};
use crate::support::trommel::{Setup, Trommel};

/// Limits of vectors that trommel has too, but not as small as there.
const SMALLER_THAN_SETTINGS_ALLOW: [&str; 2] = ["max_recv_msg_size", "max_message_size"];

#[test]
fn every_push_vector_is_answered_as_stated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/loki_push.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: no {}", path.display());
        return;
    };
    let vectors: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let requests = vectors["push_requests"]
        .as_array()
        .expect("a list of requests");
    assert!(requests.len() >= 50, "only {} requests", requests.len());

    let trommel = Setup::new(RULES).start();
    let wrong: Vec<_> = requests
        .iter()
        .filter(|vector| {
            SMALLER_THAN_SETTINGS_ALLOW
                .iter()
                .all(|limit| vector["limits"].get(limit).is_none())
        })
        .filter_map(|vector| answered_otherwise(&trommel, vector))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // None of them did any harm.
    trommel.push(&Incident::new().failures("backend"));
    trommel.wait_for("the finding", |event| event.state() == "observed");
}

/// Sends the request on a connection of its own, and says what is wrong with the answer.
fn answered_otherwise(trommel: &Trommel, vector: &Value) -> Option<String> {
    let text = |field: &str| vector[field].as_str().unwrap_or_default();
    let mut request = Request {
        method: text("method").to_owned(),
        path: text("path").to_owned(),
        headers: Vec::new(),
        body: base64(text("body_b64")),
    };
    for (name, value) in vector["headers"].as_object().expect("a table of headers") {
        let value = value.as_str().expect("a text");
        request = match name.strip_suffix("__latin1_bytes_hex") {
            Some(name) => request.with_header(name, hex(value)),
            None => request.with_header(name, value),
        };
    }
    let expected = vector["trommel"]["http_status"].as_u64();
    match Client::new(trommel.push_address()).send(&request) {
        Ok(answer) if Some(u64::from(answer.status)) == expected => None,
        Ok(answer) => Some(format!(
            "{}: answered {} ({}), not {expected:?}",
            text("id"),
            answer.status,
            answer.text()
        )),
        Err(error) => Some(format!("{}: {error}", text("id"))),
    }
}

/// Standard base64 with padding: the vectors' bodies.
fn base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for symbol in text.bytes().filter(|symbol| *symbol != b'=') {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            other => panic!("not base64: {other:#x}"),
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    bytes
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|place| u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).expect("hex digits"))
        .collect()
}

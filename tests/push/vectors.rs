//! Loki's own cases with the answers we give, read from beside the checkout; without them these tests skip, and say so.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use trommel::push::labels;
use trommel::push::{DecodeError, Encoded, Form, Interner, Limits, Notes, Scratch};

const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../shared/vectors/loki_push.json"
);

/// The vectors, or `None` and a word about it.
pub(crate) fn load(test: &str) -> Option<Value> {
    let Ok(text) = std::fs::read_to_string(Path::new(PATH)) else {
        println!("{test}: skipped, {PATH} is not there");
        return None;
    };
    Some(serde_json::from_str(&text).expect("the vectors are JSON"))
}

/// One push request of the vectors.
pub(crate) struct Case<'a> {
    pub(crate) id: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) limits: Limits,
    pub(crate) status: u64,
    pub(crate) expected: &'a Value,
}

pub(crate) fn cases(vectors: &Value) -> impl Iterator<Item = Case<'_>> {
    let list = vectors["push_requests"].as_array().expect("a list");
    list.iter().map(|case| {
        let text = |key: &str| case[key].as_str().expect("a text");
        let headers = case["headers"].as_object().expect("headers");
        let mut limits = Limits::default();
        let number = |key: &str| {
            let value = case["limits"].get(key)?;
            Some(usize::try_from(value.as_u64().expect("a number")).expect("small"))
        };
        if let Some(max) = number("max_recv_msg_size").or(number("max_message_size")) {
            limits.body_bytes_max = max;
        }
        if let Some(max) = number("max_decompressed_size") {
            limits.decompressed_bytes_max = max;
        }
        if let Some(max) = number("max_line_size") {
            limits.line_bytes_max = max;
        }
        Case {
            id: text("id"),
            method: text("method"),
            path: text("path"),
            headers: headers
                .iter()
                .map(|(name, value)| {
                    let value = value.as_str().expect("a text");
                    match name.strip_suffix("__latin1_bytes_hex") {
                        Some(name) => (name.to_owned(), unhex(value)),
                        None => (name.clone(), value.as_bytes().to_vec()),
                    }
                })
                .collect(),
            body: unbase64(text("body_b64")),
            limits,
            status: case["trommel"]["http_status"].as_u64().expect("a number"),
            expected: &case["expected"],
        }
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect()
}

fn unbase64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for c in text.bytes().filter(|&c| c != b'=') {
        let six = ALPHABET.iter().position(|&a| a == c).expect("base64") as u32;
        bits = bits << 6 | six;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// Decodes a case into streams as the vectors write them.
fn decode(case: &Case<'_>) -> (Result<Notes, DecodeError>, Value) {
    let header = |wanted: &str| {
        let found = case.headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_slice())
    };
    let tenant: Arc<str> = Arc::from("");
    let request = Encoded {
        tenant: &tenant,
        form: match case.path {
            "/api/prom/push" => Form::Legacy,
            _ => Form::V1,
        },
        content_type: header("Content-Type"),
        content_encoding: header("Content-Encoding"),
        body: &case.body,
    };
    let mut scratch = Scratch::default();
    let interner = Interner::new(100);
    let notes = scratch.decode(&request, &case.limits, &interner, &mut |_| true);
    let batch = scratch.batch();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let streams = batch.streams.iter().map(|stream| {
        let entries = &batch.entries[stream.entries.start as usize..stream.entries.end as usize];
        let entries: Vec<Value> = entries
            .iter()
            .map(|entry| {
                serde_json::json!({
                    "ts_ns": entry.at.nanos().to_string(),
                    "line": text(batch.bytes(entry.line)),
                    "structured_metadata": batch
                        .metadata_of(entry)
                        .map(|(name, value)| (text(name), Value::from(text(value))))
                        .collect::<serde_json::Map<_, _>>(),
                })
            })
            .collect();
        let labels: serde_json::Map<_, _> = stream
            .stream
            .labels
            .iter()
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect();
        serde_json::json!({
            "labels": labels,
            "service_name": stream.stream.labels.service_name(),
            "labels_canonical": stream.stream.labels.to_string(),
            "entries": entries,
        })
    });
    (notes, streams.collect())
}

#[test]
fn every_vector_decodes_as_stated() {
    let Some(vectors) = load("every_vector_decodes_as_stated") else {
        return;
    };
    for case in cases(&vectors).filter(|case| case.method == "POST") {
        let id = case.id;
        let (notes, mut streams) = decode(&case);
        let notes = match notes {
            Ok(notes) => {
                assert_eq!(case.status, 204, "{id} was decoded");
                notes
            }
            Err(error) => {
                assert_eq!(u64::from(error.status()), case.status, "{id}: {error}");
                let says = case.expected["error_contains"].as_str();
                if case.expected["http_status"] == case.status {
                    let says = says.unwrap_or_default();
                    assert!(error.to_string().contains(says), "{id}: {error}");
                }
                continue;
            }
        };
        assert_eq!(
            notes.labels_invalid,
            u64::from(id == "dist-invalid-labels"),
            "{id}"
        );
        assert_eq!(
            notes.lines_cut,
            u64::from(id == "dist-line-too-long"),
            "{id}"
        );
        let Some(expected) = case.expected["streams"].as_array() else {
            continue;
        };
        let mut expected: Vec<Value> = expected.clone();
        expected.retain(|stream| stream["entries"] != serde_json::json!([]));
        let streams = streams.as_array_mut().expect("a list");
        assert_eq!(streams.len(), expected.len(), "{id}");
        for (stream, expected) in streams.iter_mut().zip(&mut expected) {
            let derived = stream["service_name"].take();
            let labels = expected["labels"].as_object_mut().expect("an object");
            if stream["labels"].get("service_name").is_none()
                && let Some(service_name) = labels.remove("service_name")
            {
                assert_eq!(derived, service_name, "{id}");
            } else if let Some(canonical) = expected.get("labels_canonical") {
                assert_eq!(stream["labels_canonical"], *canonical, "{id}");
            }
            assert_eq!(stream["labels"], expected["labels"], "{id}");
            assert_eq!(stream["entries"], expected["entries"], "{id}");
        }
    }
}

#[test]
fn every_label_string_is_parsed_as_stated() {
    let Some(vectors) = load("every_label_string_is_parsed_as_stated") else {
        return;
    };
    for case in vectors["label_strings_parse"].as_array().expect("a list") {
        let input = match case["input_repeat"].as_array() {
            Some(repeat) => repeat[0]
                .as_str()
                .expect("a text")
                .repeat(usize::try_from(repeat[1].as_u64().expect("a number")).expect("small")),
            None => case["input"].as_str().expect("a text").to_owned(),
        };
        let shown = &input[..input.len().min(80)];
        match labels::parse(input.as_bytes(), Limits::default().labels_bytes_max) {
            Ok(parsed) => {
                let parsed: serde_json::Map<_, _> = parsed
                    .iter()
                    .map(|(name, value)| (name.to_owned(), Value::from(value)))
                    .collect();
                assert_eq!(Value::Object(parsed), case["labels"], "{shown}");
            }
            Err(error) => {
                assert_eq!(case["error"], true, "{shown}: {error}");
                let says = case["error_contains"].as_str().unwrap_or_default();
                assert!(error.to_string().contains(says), "{shown}: {error}");
            }
        }
    }
    for case in vectors["validation"].as_array().expect("a list") {
        let Some(input) = case["labels"].as_str() else {
            continue;
        };
        // Limits on labels are Loki's to enforce; only what cannot be a set is refused.
        let refused = case["error"]
            .as_str()
            .is_some_and(|error| error.contains("duplicate"))
            || input.matches("foo=").count() > 1;
        let parsed = labels::parse(input.as_bytes(), 1024);
        assert_eq!(parsed.is_err(), refused, "{input}: {parsed:?}");
    }
}

#[test]
fn label_sets_as_alloy_writes_them_are_read_back() {
    let Some(vectors) = load("label_sets_as_alloy_writes_them_are_read_back") else {
        return;
    };
    for case in vectors["label_sets_serialise"].as_array().expect("a list") {
        let written = case["alloy_output"].as_str().expect("a text");
        let parsed = labels::parse(written.as_bytes(), 1024).expect("valid");
        assert_eq!(parsed.to_string(), written);
    }
}

#[test]
fn lines_with_a_cri_prefix_are_trimmed_as_alloy_trims_them() {
    let Some(vectors) = load("lines_with_a_cri_prefix_are_trimmed_as_alloy_trims_them") else {
        return;
    };
    for case in vectors["line_formats"].as_array().expect("a list") {
        // Alloy's stage also takes prefixes without a time, which is its user's wish; unasked, that would eat text.
        if let ("cri", Some(input)) = (
            case["stage"].as_str().expect("a text"),
            case["input"]
                .as_str()
                .filter(|input| input.starts_with("20")),
        ) {
            let line = trommel::batch::trim_line(input.as_bytes());
            assert_eq!(
                String::from_utf8_lossy(line),
                case["line"].as_str().expect("a text")
            );
        }
    }
}

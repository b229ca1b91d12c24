use super::super::Exit;
use super::super::tests::{Scratch as Files, trommel};
use super::Limits;
pub(in crate::cli) use super::unpack::tests::{gzip, zstd};

/// A rule that shows every line that it reads.
const RULES: &str = "
rules:
  - {id: every_line, match: {re: '.'}, incident_type: workload_failure, catches: [x]}
  - {id: of_shop, selector: app=shop, match: {re: '.'}, incident_type: workload_failure, catches: [x]}
  - {id: traced, match: {fields: {trace: t1}}, incident_type: workload_failure}
";

/// What `scan` prints of a file that holds `bytes`, and what it says about it.
#[track_caller]
fn scan(arguments: &[&str], bytes: impl AsRef<[u8]>) -> (Exit, String, String) {
    let files = Files::new();
    let rules = files.write("rules.yaml", RULES);
    let file = files.write("f", bytes);
    let line = [&["scan", "--rules", &rules], arguments, &[&file]].concat();
    let (exit, out, diagnostics) = trommel(&line);
    (exit, files.strip(&out), files.strip(&diagnostics))
}

#[test]
fn raw_lines_have_the_labels_that_are_given() {
    let (exit, out, diagnostics) = scan(&["--labels", r#"{app="shop"}"#], "one\ntwo");
    assert_eq!((exit, &*diagnostics), (Exit::Fine, ""));
    assert_eq!(
        out,
        "f:1: [every_line,of_shop] one\nf:2: [every_line,of_shop] two\n"
    );
}

#[test]
fn rules_that_cannot_read_lines_without_labels_are_pointed_out() {
    let (exit, out, diagnostics) = scan(&[], "one");
    assert_eq!((exit, &*out), (Exit::Fine, "f:1: [every_line] one\n"));
    assert_eq!(
        diagnostics,
        "note: 1 rule with a `selector` cannot read lines without labels; give them with --labels\n"
    );
}

#[test]
fn a_lines_own_labels_go_before_those_given() {
    let line = r#"{"labels":{"app":"shop"},"line":"x"}"#;
    let (_, out, _) = scan(
        &[
            "--input",
            "jsonl",
            "--labels",
            r#"{app="other", b="c"}"#,
            "--format",
            "json",
        ],
        line,
    );
    let shown: serde_json::Value = serde_json::from_str(&out).expect("one object");
    assert_eq!(
        shown["labels"],
        serde_json::json!({"app": "shop", "b": "c"})
    );
    assert_eq!(shown["rules"], serde_json::json!(["every_line", "of_shop"]));
    assert_eq!((&shown["n"], &shown["line"]), (&1.into(), &"x".into()));
}

#[test]
fn wrong_lines_are_told_with_their_place_and_the_rest_is_read() {
    let (exit, out, diagnostics) = scan(
        &["--input", "jsonl", "--labels", r#"{app="x"}"#],
        "{\"line\":\"a\"}\nno\n{\"line\":\"b\"}\n",
    );
    assert_eq!(exit, Exit::Fine);
    assert_eq!(out, "f:1: [every_line] a\nf:3: [every_line] b\n");
    assert_eq!(diagnostics, "f:2: expected ident at column 2\n");
}

#[test]
fn of_many_wrong_lines_the_first_are_shown_and_the_others_counted() {
    let (exit, out, diagnostics) = scan(&["--input", "cri"], "x\n".repeat(12));
    assert_eq!((exit, &*out), (Exit::CouldNotRun, ""));
    let shown: Vec<_> = diagnostics.lines().collect();
    assert_eq!(shown.len(), 12, "{diagnostics}");
    assert!(shown[9].starts_with("f:10: not a line of a container runtime"));
    assert_eq!(shown[10], "2 more could not be read");
    assert_eq!(shown[11], "trommel: nothing could be read");
}

#[test]
fn a_missing_file_is_told_and_the_others_are_read() {
    let files = Files::new();
    let rules = files.write("rules.yaml", RULES);
    let (missing, there) = (files.path("missing"), files.write("there", "x"));
    let line = ["scan", "--rules", &rules, "--labels", "{a=\"b\"}", &missing];
    let (exit, out, diagnostics) = trommel(&[&line[..], &[&there]].concat());
    assert_eq!(exit, Exit::CouldNotRun);
    assert_eq!(files.strip(&out), "there:1: [every_line] x\n");
    let told = "missing: cannot read it: No such file or directory (os error 2)\n\
                trommel: 1 file could not be read to its end\n";
    assert_eq!(files.strip(&diagnostics), told);
    assert_eq!(trommel(&line).0, Exit::CouldNotRun);
}

#[test]
fn an_empty_file_is_fine_and_wrong_labels_are_not() {
    assert_eq!(scan(&[], ""), (Exit::Fine, String::new(), String::new()));
    let (exit, _, diagnostics) = scan(&["--labels", "{a=}"], "x");
    assert_eq!(exit, Exit::CouldNotRun);
    assert!(
        diagnostics.starts_with("trommel: --labels: 1:4: "),
        "{diagnostics}"
    );
}

#[test]
fn control_characters_of_a_line_reach_no_terminal() {
    let (_, out, _) = scan(&["--labels", "{a=\"b\"}"], b"\x1b[2Jx\xff\n");
    assert_eq!(out, "f:1: [every_line] \\u{1b}[2Jx\u{fffd}\n");
}

const PUSHED: &str = r#"{"streams":[
  {"stream":{"app":"shop"},"values":[["1767607200000000000","one",{"trace":"t1"}],["1767607201000000000","two"]]},
  {"stream":{"app":"till"},"values":[["1767607200000000000","three"]]}]}"#;

const PUSHED_SHOWN: &str = "\
f:1: [every_line,of_shop,traced] one
f:2: [every_line,of_shop] two
f:3: [every_line] three
";

#[test]
fn a_pushed_body_is_read_with_labels_and_metadata_whatever_its_form() {
    let body = PUSHED.as_bytes();
    for body in [body, &gzip(body), &zstd(body)] {
        let (exit, out, diagnostics) = scan(&["--input", "push"], body);
        assert_eq!((exit, &*diagnostics), (Exit::Fine, ""));
        assert_eq!(out, PUSHED_SHOWN);
    }
}

#[test]
fn a_protobuf_body_is_read_and_a_damaged_one_is_not() {
    // PushRequest{streams: [{labels: `{app="shop"}`, entries: [{timestamp: {seconds: 1}, line: "one"}]}]}
    let entry = b"\x0a\x02\x08\x01\x12\x03one";
    let labels = b"{app=\"shop\"}";
    let mut stream = vec![0x0a, labels.len() as u8];
    stream.extend_from_slice(labels);
    stream.extend_from_slice(&[0x12, entry.len() as u8]);
    stream.extend_from_slice(entry);
    let mut request = vec![0x0a, stream.len() as u8];
    request.extend_from_slice(&stream);
    let body = snap::raw::Encoder::new()
        .compress_vec(&request)
        .expect("it is short");
    let (exit, out, _) = scan(&["--input", "push"], &body);
    assert_eq!(
        (exit, &*out),
        (Exit::Fine, "f:1: [every_line,of_shop] one\n")
    );
    let (exit, _, diagnostics) = scan(&["--input", "push"], &body[..9]);
    assert_eq!(exit, Exit::CouldNotRun);
    assert!(diagnostics.starts_with("f: snappy: "), "{diagnostics}");
    // A body that was packed once more, as a client with `Content-Encoding: gzip` does.
    let (exit, out, _) = scan(&["--input", "push"], gzip(&body));
    assert_eq!(
        (exit, &*out),
        (Exit::Fine, "f:1: [every_line,of_shop] one\n")
    );
}

#[test]
fn rules_that_are_wrong_are_reported_before_anything_is_read() {
    let files = Files::new();
    let rules = files.write("rules.yaml", "rules: [{id: a}]");
    let (exit, out, diagnostics) = trommel(&["scan", "--rules", &rules, "nowhere"]);
    assert_eq!((exit, &*out), (Exit::CouldNotRun, ""));
    assert!(diagnostics.starts_with("error[R"), "{diagnostics}");
    assert!(
        diagnostics.ends_with("trommel: the rules have 2 errors\n"),
        "{diagnostics}"
    );
}

#[test]
fn packed_files_are_read_whatever_their_name_and_however_many_members_they_have() {
    let (one, two) = (b"one\ntw".as_slice(), b"o\nthree".as_slice());
    let expected = "f:1: [every_line] one\nf:2: [every_line] two\nf:3: [every_line] three\n";
    for packed in [
        [gzip(one), gzip(two)].concat(),
        [zstd(one), zstd(two)].concat(),
    ] {
        let (exit, out, diagnostics) = scan(&["--labels", "{a=\"b\"}"], packed);
        assert_eq!((exit, &*out, &*diagnostics), (Exit::Fine, expected, ""));
    }
}

#[test]
fn a_damaged_packed_file_is_told_with_its_place_after_the_lines_before() {
    let text = "one\n".repeat(3);
    let mut whole = gzip(text.as_bytes());
    let end = whole.len();
    // The checksum of all lines is in the last eight bytes.
    whole[end - 8] ^= 1;
    let (exit, out, diagnostics) = scan(&["--labels", "{a=\"b\"}"], [&whole, &b"x"[..]].concat());
    assert_eq!((exit, out.lines().count()), (Exit::CouldNotRun, 3));
    let told = format!(
        "f:4: cannot read on: gzip data is damaged at byte {end}, or shortly before\n\
         trommel: 1 file could not be read to its end\n"
    );
    assert_eq!(diagnostics, told);

    let whole = zstd(text.as_bytes());
    let cut = whole.len() - 1;
    let (exit, _, diagnostics) = scan(&["--labels", "{a=\"b\"}"], &whole[..cut]);
    assert_eq!(exit, Exit::CouldNotRun);
    let told = format!("cannot read on: zstd data is cut off at byte {cut}\n");
    assert!(diagnostics.contains(&told), "{diagnostics}");
}

#[test]
fn labels_larger_than_a_push_may_have_are_refused() {
    let line = |bytes: usize| format!(r#"{{"labels":{{"a":"{}"}},"line":"x"}}"#, "b".repeat(bytes));
    let limit = Limits::default().labels_bytes_max;
    let (exit, out, _) = scan(&["--input", "jsonl"], line(limit - 1));
    assert_eq!((exit, &*out), (Exit::Fine, "f:1: [every_line] x\n"));
    let (exit, _, diagnostics) = scan(&["--input", "jsonl"], line(limit));
    assert_eq!(exit, Exit::CouldNotRun);
    assert!(
        diagnostics.starts_with("f:1: labels of more than 16384 bytes\n"),
        "{diagnostics}"
    );
}

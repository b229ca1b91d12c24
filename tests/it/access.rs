//! Who may come in, at the real binary: TLS, certificates of clients, tokens, passwords, and what happens when they change.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::start_errors::{refusal, text};
use crate::support::http::{Answer, Client, REMOTE_TIMEOUT, Request, read_answer};
use crate::support::incident::{Incident, RULES};
use crate::support::loki;
use crate::support::scratch::Scratch;
use crate::support::tls::{Authority, Pair, TlsClient, der};
use crate::support::trommel::{Setup, Trommel};
use crate::support::wait;

/// Certificates and secrets of one trommel.
pub(crate) struct Files {
    pub(crate) scratch: Scratch,
    pub(crate) authority: Authority,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            scratch: Scratch::new(),
            authority: Authority::new("the test's authority"),
        }
    }

    /// Writes a file at once, as Kubernetes and good tools do: a reader sees the old one or the new one.
    pub(crate) fn replace(&self, name: &str, content: &str) -> PathBuf {
        let new = self.scratch.write(&format!("{name}.new"), content);
        let path = self.scratch.path(name);
        std::fs::rename(new, &path).expect("the target folder is writable");
        path
    }

    /// Writes a certificate and its key, and returns the lines of a section for them.
    fn serve(&self, pair: &Pair) -> String {
        let certificate = self.replace("server.crt", &pair.certificate);
        let key = self.replace("server.key", &pair.key);
        format!(
            "  cert_file: {}\n  key_file: {}\n",
            text(&certificate),
            text(&key)
        )
    }

    /// A client that trusts the authority.
    fn client(&self, own: Option<&Pair>) -> TlsClient {
        TlsClient::new(&self.authority, own)
    }
}

fn start(settings: &str) -> Trommel {
    Setup::new(RULES).with_settings(settings).start()
}

/// A push of a few entries.
fn push() -> Request {
    Request::push_protobuf(loki::protobuf(&Incident::new().whole("backend")))
}

fn bearer(request: Request, token: &str) -> Request {
    request.with_header("Authorization", format!("Bearer {token}"))
}

fn basic(request: Request, user: &str, password: &str) -> Request {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    request.with_header("Authorization", format!("Basic {pair}"))
}

fn send(server: SocketAddr, request: &Request) -> Answer {
    Client::new(server).send(request).expect("an answer")
}

/// Sends all of a request before it reads, as Go's client does, to which a broken connection is no answer whatever came before.
fn send_whole(server: SocketAddr, request: &Request) -> Answer {
    let mut socket = TcpStream::connect(server).expect("it listens");
    socket
        .set_read_timeout(Some(REMOTE_TIMEOUT))
        .expect("a socket");
    socket
        .set_write_timeout(Some(REMOTE_TIMEOUT))
        .expect("a socket");
    socket
        .write_all(&request.bytes(server))
        .expect("all of it is taken");
    read_answer(&mut BufReader::new(socket)).expect("an answer")
}

/// The status of a request on a connection of its own.
fn status(server: SocketAddr, request: &Request) -> u16 {
    send(server, request).status
}

/// The value of a series on an admin port that anybody may read; 0 when it is not there yet.
pub(crate) fn measured(trommel: &Trommel, series: &str) -> f64 {
    trommel.series(series).unwrap_or(0.0)
}

#[test]
fn a_push_over_tls_is_as_good_as_any() {
    let files = Files::new();
    let trommel = start(&format!(
        "push:\n{}",
        files.serve(&files.authority.server())
    ));
    let mut connection = files
        .client(None)
        .connect(trommel.push_address())
        .expect("it listens");
    for _ in 0..2 {
        assert_eq!(connection.send(&push()).expect("an answer").status, 204);
    }
    trommel.wait_for("the finding", |event| event.state() == "observed");
    // The admin port is as it was.
    assert_eq!(trommel.admin("/readyz").status, 200);
}

#[test]
fn whoever_does_not_trust_the_certificate_sends_nothing() {
    let files = Files::new();
    let trommel = start(&format!(
        "push:\n{}",
        files.serve(&files.authority.server())
    ));
    let other = TlsClient::new(&Authority::new("another authority"), None);
    let error = other
        .send(trommel.push_address(), &push())
        .expect_err("not trusted");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    wait::until("the failed handshake to be counted", || {
        let series = r#"trommel_tls_handshakes_failed_total{listener="push",reason="broken"}"#;
        (measured(&trommel, series) > 0.0).then_some(())
    });
    assert_eq!(measured(&trommel, "trommel_entries_total"), 0.0);
}

#[test]
fn plain_http_where_tls_is_spoken_is_told_so() {
    let files = Files::new();
    let trommel = start(&format!(
        "push:\n{}",
        files.serve(&files.authority.server())
    ));
    for body in [vec![b'x'; 100], vec![b'x'; 8 << 20]] {
        let answer = send_whole(trommel.push_address(), &Request::push_protobuf(body));
        assert_eq!(answer.status, 400);
        assert_eq!(answer.text(), "this port speaks TLS: use https\n");
    }
    let mut noise = TcpStream::connect(trommel.push_address()).expect("it listens");
    noise
        .write_all(b"\x16\x03\x01\xff\xffnoise\r\n")
        .expect("open");
    drop(noise);
    assert_eq!(
        files
            .client(None)
            .send(trommel.push_address(), &push())
            .expect("an answer")
            .status,
        204
    );
}

#[test]
fn with_authorities_for_clients_only_those_with_a_certificate_push() {
    let files = Files::new();
    let clients = Authority::new("the authority for clients");
    let client_ca = files.replace("clients.crt", &clients.pem);
    let settings = format!(
        "push:\n{}  client_ca_file: {}\n",
        files.serve(&files.authority.server()),
        text(&client_ca)
    );
    let trommel = start(&settings);
    let server = trommel.push_address();

    let known = files.client(Some(&clients.client("alloy")));
    assert_eq!(known.send(server, &push()).expect("an answer").status, 204);

    // Told, rather than cut off: Alloy would try again what breaks, and hold back Loki's logs meanwhile.
    let nobody = files.client(None);
    let answer = nobody.send(server, &push()).expect("an answer");
    assert_eq!(
        (answer.status, &*answer.text()),
        (403, "a client certificate is needed\n")
    );
    assert_eq!(
        nobody
            .send(server, &Request::get("/ready"))
            .expect("an answer")
            .status,
        200
    );
    let series = r#"trommel_unauthorized_total{listener="push",reason="no_certificate"}"#;
    assert_eq!(measured(&trommel, series), 1.0);

    for stranger in [
        files.authority.client("alloy"),
        clients.client_of_yesteryear("alloy"),
        // The right authority, for another use.
        clients.server(),
    ] {
        files
            .client(Some(&stranger))
            .send(server, &push())
            .expect_err("no such client");
    }
    let entries = Incident::new().whole("backend").len() as f64;
    assert_eq!(measured(&trommel, "trommel_entries_total"), entries);

    // Another authority takes its place.
    let others = Authority::new("another authority for clients");
    let other = files.client(Some(&others.client("alloy")));
    files.replace("clients.crt", &others.pem);
    wait::until("the new authority's client to be let in", || {
        other.send(server, &push()).ok()
    });
    known.send(server, &push()).expect_err("no longer");
}

#[test]
fn a_new_certificate_is_shown_without_a_failed_push_and_a_bad_one_never() {
    let files = Files::new();
    let first = files.authority.server();
    let trommel = start(&format!("push:\n{}", files.serve(&first)));
    let client = files.client(None);
    // One push on a connection of its own, which must not fail whatever happens to the files; and what was shown there.
    let shown = || {
        let mut connection = client.connect(trommel.push_address()).expect("it listens");
        assert_eq!(connection.send(&push()).expect("an answer").status, 204);
        connection.server_certificate().expect("TLS shows one")
    };
    let mut kept = client.connect(trommel.push_address()).expect("it listens");
    assert_eq!(kept.send(&push()).expect("an answer").status, 204);
    assert_eq!(shown(), der(&first.certificate));

    let second = files.authority.server();
    files.serve(&second);
    wait::until("the new certificate to be shown", || {
        (shown() == der(&second.certificate)).then_some(())
    });
    assert_eq!(kept.send(&push()).expect("an answer").status, 204);

    // One that does not belong to its key, one that is none, and none.
    let third = files.authority.server();
    let refused = r#"trommel_credentials_reloads_total{outcome="refused"}"#;
    for bad in [third.certificate.as_str(), "no certificate", ""] {
        let before = measured(&trommel, refused);
        files.replace("server.crt", bad);
        wait::until("the bad certificate to be refused", || {
            (measured(&trommel, refused) > before).then_some(())
        });
        assert_eq!(shown(), der(&second.certificate));
        wait::until("it to be told", || {
            let good = measured(&trommel, "trommel_credentials_last_reload_successful");
            (good == 0.0).then_some(())
        });
    }
    trommel.wait_for_log("does not belong to the certificate");
    trommel.wait_for_log("push.key_file");

    files.serve(&third);
    wait::until("the third certificate to be shown", || {
        (shown() == der(&third.certificate)).then_some(())
    });
    wait::until("all to be well", || {
        let good = measured(&trommel, "trommel_credentials_last_reload_successful");
        (good == 1.0).then_some(())
    });
}

#[test]
fn each_of_several_tokens_lets_a_client_in_until_its_file_changes() {
    let files = Files::new();
    let old = files.replace("old", "the-old-token\n");
    let new = files.replace("new", "the-new-token");
    let settings = format!("push: {{token_files: [{}, {}]}}", text(&old), text(&new));
    let trommel = start(&settings);
    let server = trommel.push_address();
    for token in ["the-old-token", "the-new-token"] {
        assert_eq!(status(server, &bearer(push(), token)), 204, "{token}");
    }
    let lower = push().with_header("authorization", "bearer  the-old-token");
    assert_eq!(status(server, &lower), 204, "schemes have no case");

    let answer = send(server, &push());
    assert_eq!(
        (answer.status, &*answer.text()),
        (401, "credentials are needed\n")
    );
    assert_eq!(
        answer.header("www-authenticate"),
        Some(r#"Bearer realm="trommel""#)
    );
    for wrong in [
        bearer(push(), "the-old-toke"),
        bearer(push(), "the-old-token2"),
        bearer(push(), ""),
        push().with_header("Authorization", "the-old-token"),
        push().with_header("Authorization", "Token the-old-token"),
        push().with_header("Authorization", b"Bearer \xff\xfe"),
        basic(push(), "", "the-old-token"),
        // Which of two would count?
        bearer(bearer(push(), "the-old-token"), "another"),
    ] {
        let answer = send(server, &wrong);
        assert_eq!(
            (answer.status, &*answer.text()),
            (401, "wrong credentials\n"),
            "{wrong:?}"
        );
        assert_eq!(
            answer.header("www-authenticate"),
            Some(r#"Bearer realm="trommel""#)
        );
    }
    assert_eq!(
        measured(
            &trommel,
            r#"trommel_unauthorized_total{listener="push",reason="no_credentials"}"#
        ),
        1.0
    );
    assert_eq!(
        measured(
            &trommel,
            r#"trommel_unauthorized_total{listener="push",reason="wrong_credentials"}"#
        ),
        8.0
    );
    assert_eq!(
        measured(&trommel, r#"trommel_push_requests_total{code="401"}"#),
        9.0
    );
    assert_eq!(
        measured(
            &trommel,
            r#"trommel_push_rejected_total{reason="unauthorized"}"#
        ),
        9.0
    );

    // A token is taken back in the middle of a connection, and the other goes on.
    let mut kept = Client::new(server);
    assert_eq!(
        kept.send(&bearer(push(), "the-old-token"))
            .expect("an answer")
            .status,
        204
    );
    files.replace("old", "a-third-token\r\n");
    wait::until("the old token to be refused", || {
        let answer = kept
            .send(&bearer(push(), "the-old-token"))
            .expect("an answer");
        assert_eq!(status(server, &bearer(push(), "the-new-token")), 204);
        (answer.status == 401).then_some(())
    });
    assert_eq!(status(server, &bearer(push(), "a-third-token")), 204);

    // A file that is empty, or gone, changes nothing.
    let refused = r#"trommel_credentials_reloads_total{outcome="refused"}"#;
    files.replace("new", "\n");
    wait::until("the empty file to be refused", || {
        (measured(&trommel, refused) == 1.0).then_some(())
    });
    std::fs::remove_file(&new).expect("it is there");
    wait::until("the missing file to be refused", || {
        (measured(&trommel, refused) == 2.0).then_some(())
    });
    assert_eq!(status(server, &bearer(push(), "the-new-token")), 204);
    assert_eq!(status(server, &bearer(push(), "")), 401);
}

#[test]
fn a_user_with_a_password_lets_a_client_in_until_its_file_changes() {
    let files = Files::new();
    let password = files.replace("password", "pass wörd\n");
    let token = files.replace("token", "a-token");
    let settings = format!(
        "push: {{username: alloy, password_file: {}, token_files: [{}]}}",
        text(&password),
        text(&token)
    );
    let trommel = start(&settings);
    let server = trommel.push_address();
    assert_eq!(status(server, &basic(push(), "alloy", "pass wörd")), 204);
    assert_eq!(status(server, &bearer(push(), "a-token")), 204);
    for (user, password) in [
        ("alloy", "pass"),
        ("alloy", ""),
        ("Alloy", "pass wörd"),
        ("", "pass wörd"),
    ] {
        let answer = send(server, &basic(push(), user, password));
        assert_eq!(answer.status, 401, "{user}:{password}");
        let challenges: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "www-authenticate")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(
            challenges,
            [
                r#"Bearer realm="trommel""#,
                r#"Basic realm="trommel", charset="UTF-8""#
            ]
        );
    }
    files.replace("password", "another");
    wait::until("the new password to be taken", || {
        (status(server, &basic(push(), "alloy", "another")) == 204).then_some(())
    });
    assert_eq!(status(server, &basic(push(), "alloy", "pass wörd")), 401);
}

#[test]
fn a_push_without_credentials_is_refused_before_its_body_is_read() {
    let files = Files::new();
    let token = files.replace("token", "a-token");
    let trommel = start(&format!("push: {{token_files: [{}]}}", text(&token)));
    let server = trommel.push_address();

    // Of the body nothing is ever sent.
    let request = push().with_header("Authorization", "Bearer wrong");
    let whole = request.bytes(server);
    let head = whole.len() - request.body.len();
    let mut socket = TcpStream::connect(server).expect("it listens");
    socket
        .set_read_timeout(Some(REMOTE_TIMEOUT))
        .expect("a socket");
    socket.write_all(&whole[..head]).expect("open");
    let answer = read_answer(&mut BufReader::new(socket)).expect("an answer");
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("connection"), Some("close"));

    // A large one, as far as one may be, is read to its end all the same.
    let large = bearer(Request::push_protobuf(vec![b'x'; 3 << 20]), "wrong");
    assert_eq!(send_whole(server, &large).status, 401);
    // None of them was taken in.
    assert_eq!(measured(&trommel, "trommel_push_body_bytes_count"), 0.0);
    // Who has no credentials keeps no connection either.
    let answer = send(server, &Request::get("/ready"));
    assert_eq!(answer.header("connection"), Some("close"));
    // What is no push is not shown either, save to probes.
    for (path, expected) in [
        ("/ready", 200),
        ("/", 401),
        ("/nowhere", 401),
        ("/loki/api/v1/push", 401),
    ] {
        assert_eq!(status(server, &Request::get(path)), expected, "{path}");
    }
}

#[test]
fn the_admin_port_has_credentials_of_its_own_and_answers_probes_without() {
    let files = Files::new();
    let push_token = files.replace("push", "for-pushes");
    let admin_token = files.replace("admin", "for-prometheus");
    let settings = format!(
        "push: {{token_files: [{}]}}\nadmin:\n{}  token_files: [{}]\n",
        text(&push_token),
        files.serve(&files.authority.server()),
        text(&admin_token)
    );
    // Also where others can reach it.
    let trommel = Setup::new(RULES)
        .with_settings(&settings)
        .with_admin_for_everybody()
        .start();
    let admin = SocketAddr::from(([127, 0, 0, 1], trommel.admin_address().port()));
    let client = files.client(None);
    let status = |request: &Request| client.send(admin, request).expect("an answer").status;
    for path in ["/livez", "/readyz"] {
        assert_eq!(status(&Request::get(path)), 200, "{path}");
    }
    for path in [
        "/",
        "/metrics",
        "/api/v1/findings",
        "/api/v1/rules",
        "/nowhere",
        "/livez/",
        "//livez",
    ] {
        assert_eq!(status(&Request::get(path)), 401, "{path}");
        assert_eq!(
            status(&bearer(Request::get(path), "for-pushes")),
            401,
            "{path}"
        );
        let let_in = status(&bearer(Request::get(path), "for-prometheus"));
        assert!(matches!(let_in, 200 | 404), "{path}: {let_in}");
    }
    let metrics = client
        .send(admin, &bearer(Request::get("/metrics"), "for-prometheus"))
        .expect("an answer")
        .text();
    assert!(
        metrics.contains(
            "trommel_unauthorized_total{listener=\"admin\",reason=\"wrong_credentials\"} 7\n"
        ),
        "{metrics}"
    );
    let push_server = trommel.push_address();
    assert_eq!(
        send(push_server, &bearer(push(), "for-prometheus")).status,
        401
    );
    assert_eq!(send(push_server, &bearer(push(), "for-pushes")).status, 204);
}

#[test]
fn an_admin_port_that_others_can_reach_wants_credentials_or_a_word_about_it() {
    let said = refusal(&["--admin-listen", "0.0.0.0:0"]);
    assert_eq!(
        said,
        "trommel: admin_listen: 0.0.0.0:0 can be reached from other hosts, and everybody would see findings and metrics: \
         set admin.token_files, admin.username and admin.password_file, or admin.client_ca_file; --insecure-admin leaves it open \
         to everybody\n"
    );
    let open = Setup::new(RULES)
        .with_admin_for_everybody()
        .arg("--insecure-admin")
        .start();
    let admin = SocketAddr::from(([127, 0, 0, 1], open.admin_address().port()));
    assert_eq!(status(admin, &Request::get("/metrics")), 200);
}

#[test]
fn files_that_cannot_be_used_keep_it_from_starting_and_are_all_named() {
    let files = Files::new();
    let pair = files.authority.server();
    let settings = |text: &str| {
        let file = files.scratch.write("settings.yaml", text);
        refusal(&["--config", file.to_str().expect("a plain name")])
    };
    let missing = files.scratch.path("missing");
    let empty = files.replace("empty", "");
    let blank = files.replace("blank", " \n");
    let words = files.replace("words", "hunter2 and more\n");
    let folder = files.scratch.path("");
    let said = settings(&format!(
        "push: {{token_files: [{}, {}, {}, {}]}}\nadmin: {{username: a, password_file: {}}}\n",
        text(&missing),
        text(&empty),
        text(&blank),
        text(&words),
        text(&folder),
    ));
    let expected = format!(
        "trommel: push.token_files: {}: cannot be read: No such file or directory (os error 2)
push.token_files: {}: is empty
push.token_files: {}: is empty but for white space
push.token_files: {}: holds no token; expected one word of visible ASCII characters
admin.password_file: {}: is not a regular file
",
        text(&missing),
        text(&empty),
        text(&blank),
        text(&words),
        text(&folder),
    );
    assert_eq!(said, expected);

    let certificate = files.replace("a.crt", &pair.certificate);
    let key = files.replace("a.key", &files.authority.server().key);
    let said = settings(&format!(
        "push: {{cert_file: {}, key_file: {}}}\n",
        text(&certificate),
        text(&key)
    ));
    let expected = format!(
        "trommel: push.key_file: {}: does not belong to the certificate\n",
        text(&key)
    );
    assert_eq!(said, expected);

    let said = settings(&format!("push: {{token_files: [{}]}}\n", text(&key)));
    assert!(!said.contains("PRIVATE"), "{said}");

    let token = files.replace("token", "a-token");
    let file = files.scratch.write(
        "settings.yaml",
        format!("push: {{token_files: [{}]}}", text(&token)),
    );
    let said = refusal(&["--sample", "--config", text(&file)]);
    assert!(
        said.contains("--sample pushes without TLS and credentials"),
        "{said}"
    );
}

#[test]
fn a_secret_is_nowhere_to_be_seen() {
    let files = Files::new();
    let pair = files.authority.server();
    let key_body: String = pair.key.lines().nth(1).expect("PEM").to_owned();
    let secrets = ["tok-5e3a1", "pw-77c0d", "adm-9b21f", &key_body];
    let [token, password, admin_token, _] = secrets;
    let settings = format!(
        "push:\n{}  token_files: [{}]\n  username: alloy\n  password_file: {}\nadmin: {{token_files: [{}]}}\nlog: {{level: trace}}\n",
        files.serve(&pair),
        text(&files.replace("token", token)),
        text(&files.replace("password", password)),
        text(&files.replace("admin", admin_token)),
    );
    let trommel = start(&settings);
    let (server, admin) = (trommel.push_address(), trommel.admin_address());
    let client = files.client(None);
    let mut said = String::new();
    for request in [
        bearer(push(), token),
        basic(push(), "alloy", password),
        bearer(push(), &format!("{token}x")),
        basic(push(), "alloy", &format!("{password}x")),
        basic(push(), &format!("{token}x"), password),
        push().with_header("Authorization", token),
        bearer(Request::get(&format!("/?{token}")), "wrong"),
    ] {
        let answer = client.send(server, &request).expect("an answer");
        said += &format!("{:?}\n{}\n", answer.headers, answer.text());
    }
    for path in [
        "/",
        "/metrics",
        "/livez",
        "/readyz",
        "/api/v1/findings",
        "/api/v1/rules",
        "/nowhere",
    ] {
        for token in [admin_token, "adm-9b21fx"] {
            let answer = send(admin, &bearer(Request::get(path), token));
            said += &format!("{:?}\n{}\n", answer.headers, answer.text());
        }
    }
    // A file is damaged with its secret still in it, and then written anew.
    let refused = "cannot be used as it is now";
    files.replace("token", &format!("{token} {token}\n"));
    files.replace("server.key", &pair.key.replace("-----END", "END"));
    wait::until("both to be refused", || {
        (trommel.log().matches(refused).count() == 2).then_some(())
    });
    files.serve(&pair);
    wait::until("the key to be taken into use", || {
        trommel
            .log()
            .contains("taken into use as it is now")
            .then_some(())
    });
    said += &trommel.log();
    said += &format!("{:?}", trommel.events());
    for of_process in ["cmdline", "environ"] {
        let path = format!("/proc/{}/{of_process}", trommel.id());
        said += &String::from_utf8_lossy(&std::fs::read(path).expect("it runs"));
    }
    trommel.wait_for("a finding", |_| true);
    let encoded = STANDARD.encode(format!("alloy:{password}"));
    for secret in secrets.into_iter().chain([&*encoded]) {
        let at = said.find(secret);
        assert!(
            at.is_none(),
            "{secret}: {}",
            &said[at.unwrap_or_default().saturating_sub(300)..]
        );
    }
    assert!(said.contains("requests are refused"), "{said}");
}

#[test]
fn openssl_finds_nothing_wrong_with_the_certificate_that_is_shown() {
    let Some(openssl) = crate::support::program::find("openssl") else {
        return;
    };
    let files = Files::new();
    let authority = files.replace("authority.crt", &files.authority.pem);
    let trommel = start(&format!(
        "admin:\n{}",
        files.serve(&files.authority.server())
    ));
    let output = crate::support::program::run(
        Command::new(openssl)
            .args([
                "s_client",
                "-verify_return_error",
                "-verify_ip",
                "127.0.0.1",
                "-CAfile",
            ])
            .arg(&authority)
            .arg("-connect")
            .arg(trommel.admin_address().to_string()),
        "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
}

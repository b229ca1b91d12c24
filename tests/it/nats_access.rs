//! NATS servers that ask who trommel is, and show who they are.
//!
//! Each test begins with a file that is wrong: trommel runs all the same, and is connected once the file is right.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::access::{Files, measured};
use crate::start_errors::{refusal, text};
use crate::support::incident::{Incident, RULES};
use crate::support::nats::NatsServer;
use crate::support::tls::Authority;
use crate::support::trommel::Setup;
use crate::support::wait;

/// Starts a server with `config`, and trommel with `settings` for it, which name one file whose content is wrong: trommel must log
/// `complaint`. Then the file is made `right`, and findings arrive. Of what is in the files nothing may be logged.
#[track_caller]
fn check(
    files: &Files,
    config: &str,
    settings: &str,
    (name, right): (&str, &str),
    complaint: &str,
    secrets: &[&str],
) {
    let Some(mut server) = NatsServer::running_with(config) else {
        return;
    };
    let url = server.url();
    let trommel = Setup::new(RULES)
        .with_settings(&format!(
            "nats:\n  url: {url}\n{settings}log: {{level: trace}}\n"
        ))
        .start();
    trommel.push(&Incident::new().whole("backend"));
    wait::until(&format!("`{complaint}` in the log"), || {
        trommel.log().contains(complaint).then_some(())
    });
    assert_eq!(measured(&trommel, "trommel_nats_connected"), 0.0);
    assert_eq!(measured(&trommel, ACKED), 0.0);

    files.replace(name, right);
    let acked = wait::until("findings to arrive", || {
        let acked = measured(&trommel, ACKED);
        (acked > 0.0).then_some(acked)
    });
    // And again after the server has gone and come back.
    server.stop();
    wait::until("the connection to be lost", || {
        (measured(&trommel, "trommel_nats_connected") == 0.0).then_some(())
    });
    server.start();
    trommel.push(&Incident::new().whole("frontend"));
    wait::until("more findings to arrive", || {
        (measured(&trommel, ACKED) > acked).then_some(())
    });
    let mut said = trommel.log();
    for path in ["/", "/metrics", "/api/v1/findings", "/api/v1/rules"] {
        said += &trommel.admin(path).text();
    }
    for of_process in ["cmdline", "environ"] {
        let path = format!("/proc/{}/{of_process}", trommel.id());
        said += &String::from_utf8_lossy(&std::fs::read(path).expect("it runs"));
    }
    assert_eq!(trommel.terminate().code(), Some(0));
    for secret in secrets {
        assert!(!said.contains(secret), "{secret}");
    }
}

const ACKED: &str = r#"trommel_publish_total{outcome="acked"}"#;
/// What the log says of a server that does not know us.
const UNKNOWN: &str = "authorization violation";

#[test]
fn a_token_that_changes_is_shown_at_the_next_connection() {
    let files = Files::new();
    let file = files.replace("token", "tok-wr0ng\n");
    check(
        &files,
        "authorization { token: tok-4f1c }",
        &format!("  token_file: {}\n", text(&file)),
        ("token", "tok-4f1c\n"),
        UNKNOWN,
        &["tok-4f1c", "tok-wr0ng"],
    );
}

#[test]
fn a_password_that_changes_is_shown_at_the_next_connection() {
    let files = Files::new();
    let file = files.replace("password", "pw-wr0ng");
    check(
        &files,
        "authorization { user: ops, password: \"pw 4f1c\" }",
        &format!("  username: ops\n  password_file: {}\n", text(&file)),
        ("password", "pw 4f1c\n"),
        UNKNOWN,
        &["pw 4f1c", "pw-wr0ng"],
    );
}

#[test]
fn an_nkey_that_changes_signs_at_the_next_connection() {
    let files = Files::new();
    let (known, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let [known_seed, stranger_seed] = [&known, &stranger].map(|key| key.seed().expect("a new key"));
    let file = files.replace("nkey", &stranger_seed);
    check(
        &files,
        &format!(
            "authorization {{ users: [ {{ nkey: {} }} ] }}",
            known.public_key()
        ),
        &format!("  nkey_file: {}\n", text(&file)),
        ("nkey", &format!("{known_seed}\n")),
        UNKNOWN,
        &[&known_seed, &stranger_seed],
    );
}

#[test]
fn credentials_that_change_are_shown_at_the_next_connection() {
    let files = Files::new();
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let unlimited = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let operator_jwt = jwt(
        &operator,
        &operator,
        "operator",
        json!({"type": "operator", "version": 2}),
    );
    let account_jwt = jwt(
        &operator,
        &account,
        "ops",
        json!({"type": "account", "version": 2, "limits": unlimited}),
    );
    // JetStream does not start without an account for the system.
    let system = KeyPair::new_account();
    let claims = json!({"type": "account", "version": 2});
    let system_jwt = jwt(&operator, &system, "SYS", claims);
    let (account_id, system_id) = (account.public_key(), system.public_key());
    let config = format!(
        "operator: {operator_jwt}\nsystem_account: {system_id}\nresolver: MEMORY\n\
         resolver_preload: {{ {account_id}: {account_jwt}, {system_id}: {system_jwt} }}\n",
    );
    let user = |issuer: &KeyPair| {
        let user = KeyPair::new_user();
        let claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        let jwt = jwt(issuer, &user, "trommel", claims);
        let seed = user.seed().expect("a new key");
        let file = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        (file, jwt, seed)
    };
    let (stranger, stranger_jwt, stranger_seed) = user(&KeyPair::new_account());
    let (known, known_jwt, known_seed) = user(&account);
    let file = files.replace("creds", &stranger);
    check(
        &files,
        &config,
        &format!("  creds: {}\n", text(&file)),
        ("creds", &known),
        UNKNOWN,
        &[&stranger_jwt, &stranger_seed, &known_jwt, &known_seed],
    );
}

/// A JWT as NATS reads it. Source: nats-io/jwt v2, `claims.go`: EdDSA by an nkey, under the name `ed25519-nkey`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, nats: Value) -> String {
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let claims = encode(json!({
        "jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject.public_key(), "name": name, "nats": nats,
    }));
    let signed = format!("{header}.{claims}");
    let signature = issuer.sign(signed.as_bytes()).expect("it has a seed");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_server_shows_a_certificate_of_an_authority_that_the_settings_name() {
    let files = Files::new();
    let pair = files.authority.server();
    let server_tls = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
        text(&files.replace("nats.crt", &pair.certificate)),
        text(&files.replace("nats.key", &pair.key)),
    );
    let other = Authority::new("another authority");
    let file = files.replace("ca.crt", &other.pem);
    check(
        &files,
        &server_tls,
        &format!("  ca_file: {}\n", text(&file)),
        ("ca.crt", &files.authority.pem),
        "UnknownIssuer",
        &[],
    );
}

#[test]
fn a_server_that_asks_for_a_certificate_is_shown_the_one_in_the_file() {
    let files = Files::new();
    let pair = files.authority.server();
    let authority = files.replace("ca.crt", &files.authority.pem);
    let server_tls = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}",
        text(&files.replace("nats.crt", &pair.certificate)),
        text(&files.replace("nats.key", &pair.key)),
        text(&authority),
    );
    // One file holds both, so that both change at once.
    let both = |authority: &Authority| {
        let pair = authority.client("trommel");
        format!("{}{}", pair.certificate, pair.key)
    };
    let known = both(&files.authority);
    let secret = known.lines().rev().nth(1).expect("PEM").to_owned();
    let file = files.replace("own.pem", &both(&Authority::new("another authority")));
    check(
        &files,
        &server_tls,
        &format!(
            "  ca_file: {}\n  cert_file: {}\n  key_file: {}\n",
            text(&authority),
            text(&file),
            text(&file)
        ),
        ("own.pem", &known),
        "nats cannot be reached",
        &[&secret],
    );
}

#[test]
fn a_server_without_tls_gets_no_token_where_tls_was_asked_for() {
    let files = Files::new();
    let Some(server) = NatsServer::running_with("authorization { token: tok-4f1c }") else {
        return;
    };
    let settings = format!(
        "nats:\n  url: {}\n  token_file: {}\n  ca_file: {}\n",
        server.url(),
        text(&files.replace("token", "tok-4f1c")),
        text(&files.replace("ca.crt", &files.authority.pem)),
    );
    let trommel = Setup::new(RULES).with_settings(&settings).start();
    trommel.push(&Incident::new().whole("backend"));
    wait::until("a complaint", || {
        trommel
            .log()
            .contains("nats cannot be reached")
            .then_some(())
    });
    assert_eq!(measured(&trommel, "trommel_nats_connected"), 0.0);
}

#[test]
fn files_for_nats_that_cannot_be_used_keep_it_from_starting() {
    let files = Files::new();
    let words = files.replace("words", "no secret at all");
    let missing = files.scratch.path("missing");
    let said = |settings: &str| {
        let settings = format!("nats:\n  url: nats://127.0.0.1:1\n{settings}");
        let file = files.scratch.write("settings.yaml", settings);
        refusal(&["--config", text(&file)])
    };
    let words = text(&words);
    for (key, more, problem) in [
        (
            "creds",
            "",
            "holds no credentials; expected a user's JWT and seed, as `nsc` writes them",
        ),
        ("nkey_file", "", "holds no seed of an nkey; expected `SU…`"),
        (
            "token_file",
            "",
            "holds no token; expected one word of visible ASCII characters",
        ),
        (
            "ca_file",
            "",
            "holds no certificate; expected PEM with `BEGIN CERTIFICATE`",
        ),
        (
            "cert_file",
            &format!("  key_file: {words}\n"),
            "holds no certificate; expected PEM with `BEGIN CERTIFICATE`",
        ),
    ] {
        assert_eq!(
            said(&format!("  {key}: {words}\n{more}")),
            format!("trommel: nats.{key}: {words}: {problem}\n")
        );
    }
    assert_eq!(
        said(&format!(
            "  username: ops\n  password_file: {}\n",
            text(&missing)
        )),
        format!(
            "trommel: nats.password_file: {}: cannot be read: No such file or directory (os error 2)\n",
            text(&missing)
        )
    );
    let said = refusal(&["--nats", "nats://ops:hunter2@127.0.0.1:1"]);
    assert!(said.contains("nats.url: holds a user or a token"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

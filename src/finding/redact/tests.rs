//! What is redacted, what stays, and what it costs.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(line: &str, expected: &str) {
    assert_eq!(
        Redactor::new(Vec::new()).redact(line.as_bytes(), &[]),
        expected
    );
}

fn pattern(source: &str) -> Arc<Pattern> {
    Pattern::compile(source, false).expect("valid")
}

#[test]
fn a_secret_that_names_itself_is_redacted_in_every_notation() {
    for (line, expected) in [
        (
            "GET /login?user=bob&password=hunter2&next=/",
            "GET /login?user=bob&password=‹redacted:password›&next=/",
        ),
        (
            r#"{"user":"bob","password":"hunter2","n":1}"#,
            r#"{"user":"bob","password":"‹redacted:password›","n":1}"#,
        ),
        (
            r#"{"password": "x"}"#,
            r#"{"password": "‹redacted:password›"}"#,
        ),
        (
            r#"{"pin":1,"token":123456}"#,
            r#"{"pin":1,"token":‹redacted:token›}"#,
        ),
        (
            r#"{"log":"{\"password\":\"x\",\"n\":1}\n"}"#,
            r#"{"log":"{\"password\":\"‹redacted:password›\",\"n\":1}\n"}"#,
        ),
        (
            r#"msg="{\\\"secret\\\":\\\"a b\\\"}""#,
            r#"msg="{\\\"secret\\\":\\\"‹redacted:secret›\\\"}""#,
        ),
        (
            r#"{"password":"a\"b, \\","n":1}"#,
            r#"{"password":"‹redacted:password›\\","n":1}"#,
        ),
        (
            "level=info db_password=hunter2 user=bob",
            "level=info db_password=‹redacted:password› user=bob",
        ),
        (
            r#"level=info password="two words" user=bob"#,
            r#"level=info password="‹redacted:password›" user=bob"#,
        ),
        ("password: changeme", "password: ‹redacted:password›"),
        (
            "db:\n  - password: 'change me' # why",
            "db:\n  - password: '‹redacted:password›' # why",
        ),
        (
            "config {user: bob, apiKey: abcdefgh, n: 1}",
            "config {user: bob, apiKey: ‹redacted:api_key›, n: 1}",
        ),
        (
            "map[password:hunter2 user:bob]",
            "map[password:‹redacted:password› user:bob]",
        ),
        (
            "Server=db;Password=p&ss,w)rd;User=sa",
            "Server=db;Password=‹redacted:password›;User=sa",
        ),
        (
            "DB_PASS=hunter2 PWD=/app",
            "DB_PASS=‹redacted:password› PWD=/app",
        ),
        (
            r#""user[password]"=>"hunter2""#,
            r#""user[password]"=>"‹redacted:password›""#,
        ),
        (
            "<password>hunter2</password>",
            "<password>‹redacted:password›</password>",
        ),
        (
            "run --token abcdef --verbose",
            "run --token ‹redacted:token› --verbose",
        ),
        (
            r#"args: ["--password","hunter2"]"#,
            r#"args: ["--password","‹redacted:password›"]"#,
        ),
        (
            "a%3D1 password%3Dhunter2",
            "a%3D1 password%3D‹redacted:password›",
        ),
        (
            r#"{"auths":{"r.io":{"auth":"dXNlcjpwYXNz"}}}"#,
            r#"{"auths":{"r.io":{"auth":"‹redacted:credential›"}}}"#,
        ),
        (
            "prompt> Password: changeme",
            "prompt> Password: ‹redacted:password›",
        ),
        ("bad token: 9f86d081884c", "bad token: ‹redacted:token›"),
        ("auth/token: 9f86d081884c", "auth/token: ‹redacted:token›"),
        (
            "hash password=$2b$12$KIXabcdefgh",
            "hash password=‹redacted:password›",
        ),
        (
            "docker run -e MYSQL_ROOTPASSWORD=hunter2 mysql",
            "docker run -e MYSQL_ROOTPASSWORD=‹redacted:password› mysql",
        ),
        (
            r#"{"query":"SET PASSWORD FOR bob = PASSWORD(\"hunter2\")"}"#,
            r#"{"query":"SET PASSWORD FOR bob = PASSWORD(\"‹redacted:password›\")"}"#,
        ),
        (
            "echo 'hunter2' | docker login -u bob --password-stdin r.example",
            "echo '‹redacted:password›' | docker login -u bob --password-stdin r.example",
        ),
        (
            r#"{"log":"-----BEGIN PRIVATE KEY-----\nMIIE\n","stream":"stdout"}"#,
            r#"{"log":"‹redacted:private_key›","stream":"stdout"}"#,
        ),
        (
            "auth: { user: 'bob', pass: 'hunter2' }",
            "auth: { user: 'bob', pass: '‹redacted:password›' }",
        ),
        (
            "+ echo root:hunter2 | chpasswd",
            "+ echo ‹redacted:password› | chpasswd",
        ),
    ] {
        check(line, expected);
    }
}

#[test]
fn credentials_of_requests_are_redacted() {
    for (line, expected) in [
        (
            "Authorization: Basic YWRtaW46Y2hhbmdlbWU=",
            "Authorization: Basic ‹redacted:authorization›",
        ),
        (
            r#"header="Authorization: Bearer abc""#,
            r#"header="Authorization: Bearer ‹redacted:authorization›""#,
        ),
        (
            r#"{"authorization":"Bearer abc.def","host":"x"}"#,
            r#"{"authorization":"Bearer ‹redacted:authorization›","host":"x"}"#,
        ),
        (
            r#"{"authorization":"k3y","host":"x"}"#,
            r#"{"authorization":"‹redacted:authorization›","host":"x"}"#,
        ),
        (
            r#"map[Authorization:[Bearer abc] Accept:[*/*]]"#,
            r#"map[Authorization:[Bearer ‹redacted:authorization›] Accept:[*/*]]"#,
        ),
        (
            r#"curl -H 'Authorization: Digest username="a", response="b"' http://x"#,
            r#"curl -H 'Authorization: Digest ‹redacted:authorization›"a", response="b"' http://x"#,
        ),
        (
            "got bearer dGhpcyBpcyBh from client",
            "got bearer ‹redacted:bearer› from client",
        ),
        ("Cookie: sid=abc; theme=dark", "Cookie: ‹redacted:cookie›"),
        (
            r#"{"set-cookie":["sid=abc; Path=/"]}"#,
            r#"{"set-cookie":["‹redacted:cookie›"]}"#,
        ),
        (
            "curl -s -u admin:changeme https://r.internal/v2/",
            "curl -s -u ‹redacted:basic_auth› https://r.internal/v2/",
        ),
    ] {
        check(line, expected);
    }
}

#[test]
fn user_info_in_urls_is_redacted() {
    for (line, expected) in [
        (
            "db=postgres://app:hunter2@db:5432/app?sslmode=off",
            "db=postgres://‹redacted:url_userinfo›@db:5432/app?sslmode=off",
        ),
        (
            "amqp://app:p/ss@mq:5672/",
            "amqp://‹redacted:url_userinfo›@mq:5672/",
        ),
        (
            "https://0123456789abcdef@example.com/x",
            "https://‹redacted:url_userinfo›@example.com/x",
        ),
        (
            r#"{"u":"https:\/\/a:b@c\/d"}"#,
            r#"{"u":"https:\/\/‹redacted:url_userinfo›@c\/d"}"#,
        ),
        (
            "http://a/?next=http://u:p@b/",
            "http://a/?next=http://‹redacted:url_userinfo›@b/",
        ),
    ] {
        check(line, expected);
    }
}

#[test]
fn what_has_a_form_of_its_own_is_redacted() {
    for (line, expected) in [
        (
            "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln, rejected",
            "got ‹redacted:jwt›, rejected",
        ),
        (
            "a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b",
            "a ‹redacted:private_key› b",
        ),
        ("-----BEGIN PRIVATE KEY-----", "‹redacted:private_key›"),
        ("id AKIAABCDEFGHIJKLMNOP used", "id ‹redacted:aws_key› used"),
        (
            "clone with ghp_0123456789abcdefghij",
            "clone with ‹redacted:github_token›",
        ),
    ] {
        check(line, expected);
    }
}

#[test]
fn a_line_that_was_cut_within_a_secret_is_redacted_to_its_end() {
    for (line, expected) in [
        (r#"{"password":"hun"#, r#"{"password":"‹redacted:password›"#),
        (
            r#"{"log":"{\"password\":\"hun"#,
            r#"{"log":"{\"password\":\"‹redacted:password›"#,
        ),
        ("level=info token=ab", "level=info token=‹redacted:token›"),
        (
            "Authorization: Basic YWRt",
            "Authorization: Basic ‹redacted:authorization›",
        ),
        ("postgres://app:hun", "postgres://‹redacted:url_userinfo›"),
        ("got eyJhbGci", "got ‹redacted:jwt›"),
        (
            "-----BEGIN EC PRIVATE KEY-----\nMHc",
            "‹redacted:private_key›",
        ),
        ("with ghp_0123", "with ‹redacted:github_token›"),
    ] {
        check(line, expected);
    }
}

#[test]
fn ordinary_text_stays() {
    let redactor = Redactor::new(Vec::new());
    let mut changed = Vec::new();
    for line in [
        "",
        "password incorrect",
        "Failed password for root from 10.0.0.9 port 22",
        "token expired",
        "invalid token: signature is invalid",
        "error: token: expired",
        "password: incorrect",
        "cannot fetch token: Forbidden",
        r#"secret "x" not found"#,
        r#"MountVolume.SetUp failed for volume "x" : secret "y" not found"#,
        r#""Secret not found" secret="default/ca-key-pair""#,
        "tokens=500 max_token_count: 5 password_file=/run/p secretName: x",
        "bypass=true compass: north, 2 to pass: a, b",
        "Unexpected token < in JSON at position 0",
        "token == nil",
        r#"{"token":null,"password":"","secret":{"name":"x"}}"#,
        "password=${DB_PASSWORD} token=***",
        "bearer token is missing, basic authentication required",
        r#"WWW-Authenticate: Bearer realm="x",error_description="gone""#,
        "authorization: user not allowed",
        "see https://example.com:8443/a:b@c and git clone ssh://git@example.com/x",
        "mongodb://a:27017,b:27017/db http://[::1]:80/",
        "docker run -u app:app --user 1000:1000 x",
        "-----BEGIN CERTIFICATE----- MII",
        r#"LDAP Result Code 49 "Invalid Credentials": 8009030C"#,
        "db=postgres://app:***@db/ password=<set>",
        "ERROR auth: LDAP Result Code 200, auth=ldap",
        r#"syntax error: unexpected token = at line 3, near token ";""#,
        "password: changed for user bob",
        r#"FATAL: password authentication failed for user "app""#,
        r#"pq: password authentication failed for user "app""#,
        r#"Error: secret "foo" not found, secrets "tls-cert" already exists"#,
        "tokens=12 pass=3 fail=0 secretName=tls-cert --token-ttl=24h passwordLastChanged=2024-01-02T03:04:05Z",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 id=3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 uid=3fa85f64-5717-4562-b3fc-2c963f66afa6 code=Unavailable code=200",
        "rpc error: code = Unauthenticated desc = token has expired",
        "the server has asked for the client to provide credentials",
        "Unable to authenticate the request err=\"[invalid bearer token, Token has been invalidated]\"",
        r#"couldn't get resource list: Unauthorized, MountVolume.SetUp failed for volume "kube-api-access-x7k2p""#,
        r#"GET /v1/secrets/default/token?code=404&key=name&sig=v2 200"#,
        "java.lang.NullPointerException at o.a.s.Token.parse(Token.java:42)",
        "tar -p1 -u x, mkdir -p /data/x9 && cp -a /a1 /b2, disk-scan-of-sda1-2024-01-02-finished sk-estimator-html-v1",
        "password is required, token is invalid, password is 12 characters",
        "npm_config_registry npm_package_dependencies_some_long_name_here",
        "issued service account token for default/builder, authToken=<redacted> secret=null",
        "rotating token for kube-system/coredns, password policy: minimum length 12",
        "auth.token_expired session_key_missing apikey missing, no api key given",
        "Sent message type=signal member=PropertiesChanged cookie=11 reply_cookie=0 signature=sa{sv}as",
        "250-AUTH PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-256 XOAUTH2",
        "a volume identified by name, one identified by \"\" and `requirepass`",
        "Unseal Key (will be hidden): , Unseal Key Shares: 5, echo done | tee /tmp/x1 && sudo -S",
        "requirepass is not set, masterauth missing",
        "Access denied for user 'root'@'localhost' (using password: YES)",
        "passwd[122]: pam_unix(passwd:chauthtok): password changed for bob",
        "UPDATE users SET password = $1, token = ? WHERE id = @p0 AND password = %(password)s",
        r#"MountVolume.SetUp failed for volume "db-secret" : secret "db-secret" not found"#,
        "helm upgrade app --set auth.existingSecret=db-secret ExternalSecret=default/db",
        r#"{"errors":{"password":["can't be blank","is too short"],"token":"is invalid"}}"#,
        "token_type=bearer expires_in=3600",
        "ERR AUTH <password> called without any password configured for the default user.",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/app/db-1a2B3c",
        r#"password = os.environ["DB_PASSWORD"], secret: process.env.JWT_SECRET, PGPASSWORD=$(cat /run/pw)"#,
        "ssl.keystore.password = [hidden], password = (sensitive value), DB_PASSWORD=[MASKED], token: **REDACTED**",
        "cache_key=orders:42 primary key violated, host key: ssh-ed25519, Login incorrect: [bob/<via Auth-Type = eap>] (from client ap)",
        "Version=3.1.0.0, Culture=neutral, PublicKeyToken=adb9793829ddae60 to x",
        "WARNING: Using --password via the CLI is insecure. Use --password-stdin.",
        r#"{"msg":"reconciled","targetSecret":"app-db-credentials"}"#,
        "POST /identity/connect/token => 200 OK",
    ] {
        let redacted = redactor.redact(line.as_bytes(), &[]);
        if redacted != line {
            changed.push(redacted);
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn patterns_of_operators_and_rules_add_to_what_is_built_in() {
    let redactor = Redactor::new(vec![pattern(r"ACME-\d+")]);
    assert_eq!(
        redactor.redact(
            b"ACME-42 password=x9 card 4111",
            &[pattern(r"card \d+"), pattern("pass")]
        ),
        "‹redacted:pattern› ‹redacted:pattern›word=‹redacted:password› ‹redacted:pattern›"
    );
    assert_eq!(
        redactor.redact(b"a \xff\xfe b", &[]),
        "a \u{fffd}\u{fffd} b"
    );
    assert_eq!(
        redactor.redact("größe".as_bytes(), &[pattern(r"(?-u:\xb6)")]),
        "gr‹redacted:pattern›ße"
    );
}

/// Pieces from which lines are put together that come close to every decision.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "password",
            "token",
            "secret",
            "pass",
            "auth",
            "Authorization",
            "Cookie",
            "bearer ",
            "Basic ",
            "curl -u ",
            "eyJ",
            "-----BEGIN RSA PRIVATE KEY-----",
            "-----END ",
            "://",
            ":\\/\\/",
            "AKIA",
            "ghp_",
            "=",
            ": ",
            ":",
            "\"",
            "'",
            "\\",
            "\\\"",
            "{",
            "}",
            "[",
            "]",
            ",",
            ";",
            "&",
            "@",
            "/",
            "--",
            " ",
            "\n",
            "<",
            ">",
            "‹redacted:token›",
            "‹",
            "›",
            "é",
            "*",
            "null",
            "hunter2",
            "aB",
            "12345678",
            "user",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9._-]{0,24}",
    ]
}

proptest! {
    #[test]
    fn a_second_redaction_changes_nothing(pieces in prop::collection::vec(piece(), 0..12)) {
        let redactor = Redactor::new(Vec::new());
        let once = redactor.redact(pieces.concat().as_bytes(), &[]);
        prop_assert_eq!(&redactor.redact(once.as_bytes(), &[]), &once);
    }

    #[test]
    fn any_bytes_are_redacted_without_a_panic(line in prop::collection::vec(any::<u8>(), 0..64), pieces in prop::collection::vec(piece(), 0..8)) {
        let mut bytes = pieces.concat().into_bytes();
        bytes.extend(line);
        let redacted = Redactor::new(vec![pattern(r"(?-u:[\x80-\xff])")]).redact(&bytes, &[]);
        prop_assert!(redacted.len() <= 24 * bytes.len());
    }
}

/// Bytes that a reading of `text` looks at, the search for places aside, which reads each byte once.
fn bytes_read(text: &str) -> usize {
    let read = Text::new(text.as_bytes());
    secrets::Finder::new().find(&read, |_, _| ());
    read.read.get()
}

#[test]
fn the_cost_is_linear_in_the_line() {
    // A place may look so far around itself; whatever it reads beyond that is read once.
    const READ_MAX: usize = 3 * text::LOOK_MAX;
    for piece in [
        "://",
        "a://a:b/",
        "password",
        "\\",
        "token: ",
        "password='",
        "password=\\",
        " -u a",
        "eyJ",
        "pass,",
        "password={",
        "token=***,",
        "--user=",
        "cookie: a ",
        "authorization:{",
        "authorization: digest ",
        "bearer=",
        "/bot1",
        "&code=1",
        "s.",
        "sk-",
        "SG.",
        "npm_",
        "hvs.",
        "a:b@tcp(",
        "jdbc:oracle:thin:/",
        "-----BEGIN PRIVATE KEY-----",
        "password is ",
        "token=$A",
        "<token>",
        "\"secret\":\"{\\\"",
        "password=string(",
        "<password><![CDATA[",
        "password\u{1b}[0m=",
        "name:password,value:",
        "'api-key', '",
        "generated password for ",
        "password by a",
        "xpass: '",
        "identified by a",
        "requirepass ",
        "echo a",
        "auth plain a",
        "unseal key 1: ",
        "keys_base64=[",
        "login incorrect [a/",
        "-----BEGIN PRIVATE KEY\"",
        "LS0tLS1CRUdJTiBQUklWQVRF",
        "12345678:AA",
    ] {
        let line = piece.repeat(40_000 / piece.len());
        for line in [
            line.clone(),
            format!("password={line}"),
            format!("token=\"{line}"),
            format!("cookie: {line}"),
        ] {
            let read = bytes_read(&line);
            assert!(
                read <= READ_MAX * line.len(),
                "{piece}: {read} of {}",
                line.len()
            );
        }
    }
}

proptest! {
    #[test]
    fn any_text_costs_at_most_a_bounded_look_around_each_byte(pieces in prop::collection::vec(piece(), 1..4)) {
        let line = pieces.concat().repeat(200);
        prop_assert!(bytes_read(&line) <= 3 * text::LOOK_MAX * line.len());
    }
}

/// What must not be left of a line that leaks, found without the redactor: the made-up words that stand for passwords, and
/// what is long and mixed or ends as base64 does.
fn secrets_of(line: &str) -> Vec<&str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=_-.".contains(c)))
        .flat_map(|word| {
            word.split_once('=')
                .filter(|(_, value)| !value.trim_matches('=').is_empty())
                .map_or(word, |(_, value)| value)
                .split("\\n")
        })
        .filter(|word| {
            let credential = word.ends_with('=');
            let has = |what: fn(&u8) -> bool| word.bytes().any(|byte| what(&byte));
            let mixed = word.len() >= 20
                && has(u8::is_ascii_digit)
                && has(u8::is_ascii_uppercase)
                && !word.contains("-0")
                && word.contains(char::is_lowercase);
            let fixed = word.len() == 20 && word.starts_with("AKIA") || word.starts_with("ghp_");
            word.starts_with("hunter2")
                || word.starts_with("changeme")
                || credential && word.len() >= 12
                || mixed
                || fixed
        })
        .collect()
}

#[test]
fn labelled_lines_come_out_clean_and_others_unchanged() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/corpus/dev/labelled.jsonl"
    );
    let Ok(corpus) = std::fs::read_to_string(path) else {
        println!("skipped: no labelled corpus beside the checkout");
        return;
    };
    let redactor = Redactor::new(Vec::new());
    let (mut leaks, mut others, mut wrong) = (0, 0, Vec::new());
    for entry in corpus.lines() {
        let entry: serde_json::Value = serde_json::from_str(entry).expect("the corpus is JSON");
        let line = entry["line"].as_str().expect("every entry has a line");
        let redacted = redactor.redact(line.as_bytes(), &[]);
        if entry["signal"] == "secret_leak" {
            leaks += 1;
            // A private key begins here and goes on in other entries.
            let secrets = match line.contains("PRIVATE KEY") {
                true => vec!["PRIVATE KEY"],
                false => secrets_of(line),
            };
            assert!(!secrets.is_empty(), "no secret is known of {}", entry["id"]);
            if secrets.iter().any(|secret| redacted.contains(secret)) {
                wrong.push(format!("left in {}: {redacted}", entry["id"]));
            }
        } else {
            others += 1;
            if redacted != line {
                wrong.push(format!("changed {}: {redacted}", entry["id"]));
            }
        }
    }
    println!("{leaks} lines with a secret, {others} others");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_logs_of_healthy_systems_stay_but_for_user_info_in_urls() {
    use std::io::Read as _;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/bulk");
    let Ok(files) = std::fs::read_dir(folder) else {
        println!("skipped: no bulk corpus beside the checkout");
        return;
    };
    let redactor = Redactor::new(Vec::new());
    let (mut lines, mut changed) = (0, Vec::new());
    for file in files
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|end| end == "gz"))
    {
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(std::fs::File::open(&file).expect("listed"))
            .read_to_end(&mut text)
            .expect("gzip");
        for line in text.split(|&byte| byte == b'\n') {
            lines += 1;
            let redacted = redactor.redact(line, &[]);
            let marks = redacted.matches(MARK).count();
            if marks != redacted.matches("://‹redacted:url_userinfo›@").count()
                || marks == 0 && redacted != String::from_utf8_lossy(line)
            {
                changed.push(format!("{}: {redacted}", file.display()));
            }
        }
    }
    println!("{lines} lines");
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn the_user_of_a_data_source_name_goes_with_its_password() {
    check(
        "bob:hunter2x9@tcp(db:3306)/x?parseTime=true",
        "‹redacted:url_userinfo›@tcp(db:3306)/x?parseTime=true",
    );
    check("dial bob:***@tcp(db:3306)", "dial bob:***@tcp(db:3306)");
}

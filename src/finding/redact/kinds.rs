//! Every kind of secret, in every shape that a log line comes in, whole and cut.

use super::Redactor;

/// What programs print, with the secret in it between `«` and `»`.
const PRINTED: &[&str] = &[
    // Requests and responses.
    "> Authorization: Bearer «Zm9vYmFyYmF6cXV4»",
    "> Authorization: Basic «YWRtaW46aHVudGVyMg==»",
    "Authorization: token «0a1b2c3d4e5f60718293»",
    "Authorization: Digest «username=\"bob\", nonce=\"f00dcafe1\", response=\"6629fae49393a053\"»",
    "Authorization: AWS4-HMAC-SHA256 Credential=«AKIAQWERTYUIOPASDFGH/20240101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=fe5f80f77d5fa3be»",
    "Proxy-Authorization: Basic «dXNlcjpzM2NyZXQ=»",
    "http-outgoing-0 >> Authorization: Bearer «ya29.a0AfB_byC1234567890»",
    "X-Api-Key: «a1B2c3D4e5F6g7H8»",
    "X-Vault-Token: «hvs.CAESIJzqwertyuiopasdfgh1»",
    "PRIVATE-TOKEN: «a9Zk3mXp7QwLr5Tb»",
    "X-Auth-Token: «a9Zk3mXp7QwLr5Tb»",
    "Cookie: JSESSIONID=«5F2A9C7B1D; theme=dark»",
    "Set-Cookie: session=«eyJfcGVybWFuZW50; Path=/; HttpOnly»",
    "GET /callback?code=«4/0AeaYSHBq1w2e3r4t5»&state=ok",
    "GET /v1?access_token=«a1b2c3d4e5f6»&n=1",
    "GET /v1?api_key=«a1b2c3d4e5f6»&n=1",
    "GET /v1?apikey=«a1b2c3d4e5f6»",
    "GET /login?user=bob&password=«hunter2x9»&next=/",
    "POST grant_type=refresh_token&refresh_token=«1//0gqwertyuiop9»&client_secret=«s3cr3tqwerty»",
    "GET https://acct.blob.core.windows.net/c/b?sv=2022-11-02&sr=b&sig=«Zm9vYmFyYmF6cXV4MTIz%3D»&se=2024",
    "GET /b?X-Amz-Credential=k&X-Amz-Signature=«fe5f80f77d5fa3beca038a248ff027»",
    "GET /b?X-Amz-Security-Token=«FwoGZXIvYXdzEJr1234567»&n=1",
    // Names and values.
    "password=«hunter2x9»",
    "user=bob passwd=«hunter2x9» n=1",
    "pwd=«hunter2x9»",
    "password: «hunter2x9»",
    "user=bob password=\"«two words 9»\" n=1",
    "{\"user\":\"bob\",\"password\":\"«hunter2x9»\",\"n\":1}",
    "{\"client_secret\": \"«s3cr3tqwerty»\", \"n\": 1}",
    "{\"accessToken\":\"«a1b2c3d4e5f6»\",\"refreshToken\":\"«z9y8x7w6v5u4»\"}",
    "{'user': 'bob', 'password': '«hunter2x9»', 'n': 1}",
    "{User:bob Password:«hunter2x9» Port:5432}",
    "&config.DB{User:\"bob\", Password:\"«hunter2x9»\", Port:5432}",
    "Config(user=bob, password=«hunter2x9», port=5432)",
    "spring.datasource.password=«hunter2x9»",
    "export DB_PASSWORD=«hunter2x9»",
    "POSTGRES_PASSWORD: «hunter2x9»",
    "PGPASSWORD='«hunter2x9»' psql -h db",
    "MYSQL_PWD=«hunter2x9»",
    "helm upgrade x --set auth.password=«hunter2x9» --wait",
    "docker login -u bob -p «hunter2x9» registry.example",
    "docker login -u bob --password «hunter2x9» registry.example",
    "mysql -u root -p«hunter2x9» -h db",
    "redis-cli -h redis -a «hunter2x9» ping",
    "sshpass -p «hunter2x9» ssh bob@host",
    "run --token=«a1b2c3d4e5f6» --verbose",
    "kubectl --token «a1b2c3d4e5f6» get pods",
    "kubeadm join 10.0.0.1:6443 --token «abcdef.0123456789abcdef» --discovery-token-ca-cert-hash sha256:aa",
    "curl -s -u «admin:changeme» https://r.example/",
    "curl --user «admin:changeme» https://r.example/",
    "curl -uadmin:«changeme1» https://r.example/",
    "wget --http-password=«hunter2x9» https://r.example/",
    "SECRET_KEY=«django-insecure-q1w2e3»",
    "secretKey: «q1w2e3r4t5y6»",
    "encryption_key=«q1w2e3r4t5y6»",
    "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»",
    "{\"SecretAccessKey\":\"«wJalrXUtnFEMI/K7MDENG»\",\"SessionToken\":\"«FwoGZXIvYXdzEJr1»\"}",
    "AZURE_CLIENT_SECRET=«abc8Q~qwertyuiop»",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=«Zm9vYmFyYmF6cXV4MTIz==»;EndpointSuffix=core.windows.net",
    "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=«Zm9vYmFyYmF6cXV4=»",
    "{\"auths\":{\"r.io\":{\"auth\":\"«Ym9iOmh1bnRlcjI=»\"}}}",
    "//registry.npmjs.org/:_authToken=«a1b2c3d4-e5f6-7890»",
    "{\"otp\":\"«492817»\"}",
    "passphrase: «correct9horse»",
    "The generated password is «hunter2x9»",
    "A temporary password is generated for root@localhost: «b9u@oacM=X1p»",
    "STATEMENT:  CREATE ROLE bob WITH LOGIN ENCRYPTED PASSWORD '«hunter2x9»' VALID UNTIL 'infinity'",
    "ALTER USER 'bob'@'%' IDENTIFIED BY '«hunter2x9»'",
    "alter user bob identified by \"«hunter2x9»\"",
    "CREATE USER bob IDENTIFIED WITH caching_sha2_password BY '«hunter2x9»'",
    "SET Password = PASSWORD('«hunter2x9»') WHERE User = 'bob'",
    "{u'user': u'bob', u'password': u'«hunter2x9»', u'n': 1}",
    "LDAP_BIND_PW=«hunter2x9»",
    "binddn: cn=bob,dc=example bindpw: «hunter2x9»",
    "RootPass: «hunter2x9»",
    "\u{1b}[36mpassword\u{1b}[0m=«hunter2x9» \u{1b}[36muser\u{1b}[0m=app",
    "{\"name\":\"DB_PASSWORD\",\"value\":\"«hunter2x9»\"}",
    "EnvVar{Name:DB_PASSWORD,Value:«hunter2x9»,ValueFrom:nil,}",
    "envs:<key:\"DB_PASSWORD\" value:\"«hunter2x9»\" >",
    "rawHeaders: ['X-Api-Key', '«2Kkmk1b6QpCZO75y»', 'Accept']",
    "rawHeaders: ['authorization', 'Basic «YWRtaW46VnE3bVpwMg==»']",
    "http.Header{\"X-Api-Key\":[]string{\"«J3YSkiO4MdWSwy0J»\"}}",
    "array(1) { [\"password\"]=> string(9) \"«hunter2x9»\" }",
    "user%5Bemail%5D=a&user%5Bpassword%5D=«hunter2x9»&commit=Log+in",
    "SET PASSWORD FOR 'bob'@'%' = '«hunter2x9»'",
    "ALTER LOGIN bob WITH PASSWORD = N'«hunter2x9»'",
    "ALTER USER bob IDENTIFIED WITH 'caching_sha2_password' BY '«hunter2x9»'",
    "Generated password for user bob: «hunter2x9»",
    "<wsse:Password Type=\"http://docs.example/#PasswordText\">«hunter2x9»</wsse:Password>",
    "<Password><![CDATA[«hunter2x9»]]></Password>",
    "x-functions-key: «TFGCLvdwvv9pZCLRFMrM»",
    "STRIPE_KEY=«UCEPvmhghG3uy5jrA88j»",
    "Invalid API key: «7cdcd72bac6f851d6415»",
    "tls.key: LS0tLS1CRUdJTiBQUklWQVRF«IEtFWS0tLS0tCk1JSUV2»",
    "Login incorrect (pap): [bob/«hunter2x9»] (from client ap port 0)",
    "with ATATT3xFfGF0«ROosxngG5tajSO9xOgRFei»",
    "with gsk_«WQwZlvqh5475K9zMTOLXCe2m5gKMuw»",
    "helm install x --set auth.rootPassword=«hunter2x9» --wait",
    "config set requirepass «hunter2x9»",
    "C: AUTH PLAIN «AGJvYgBodW50ZXIyeDk=»",
    "C: A1 AUTHENTICATE PLAIN «AGJvYgBodW50ZXIyeDk=»",
    "Unseal Key 2: «c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0»",
    "{\"unseal_keys_b64\":[\"«c2VjcmV0c2VjcmV0c2VjcmV0\",\"c2VjcmV0»\"],\"n\":1}",
    "Using generated security password: «b3f1c9d2-7a6e-4f58»",
    "Server=db;User Id=sa;Password=«p4ss;w0rd»;Database=x",
    "Server=db;User Id=sa;Pwd=«p4ssw0rd»;",
    "jdbc:postgresql://db:5432/x?user=bob&password=«hunter2x9»",
    "jdbc:oracle:thin:bob/«hunter2x9»@//db:1521/x",
    "host=db user=bob password=«hunter2x9» dbname=x",
    // URLs.
    "postgres://«bob:hunter2x9»@db:5432/x",
    "mongodb+srv://«bob:hunter2x9»@cluster0.example/x",
    "amqp://«bob:hunter2x9»@mq:5672/",
    "redis://«:hunter2x9»@redis:6379/0",
    "git clone https://oauth2:«s3cr3tqwerty»@gitlab.example/x.git",
    "POST https://hooks.slack.com/services/«T0000AAAA/B0000BBBB/a1b2c3d4e5f6g7h8»",
    "POST https://discord.com/api/webhooks/«123456789012345678/a1b2c3d4e5f6»",
    "GET https://api.telegram.org/bot123456789:«AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw»/getUpdates",
    "the token `123456789:«AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1»` was rejected",
    // Forms of their own.
    "got «eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl»",
    "id «AKIAQWERTYUIOPASDFGH» used",
    "id «ASIAQWERTYUIOPASDFGH» used",
    "key «AIzaSyA1234567890abcdefghijklmnopqrstuv» used",
    "got «ya29.a0AfB_byC1234567890abcdefgh»",
    "with «ghp_0123456789abcdefghij0123456789abcdef»",
    "with github_pat_«11AAAAAAA0abcdefghijkl_mnopqrstuv»",
    "with «glpat-a1b2c3d4e5f6g7h8i9j0»",
    "with «glrt-a1b2c3d4e5f6g7h8i9j0»",
    "with «xoxb-123456789012-123456789012-abcdefABCDEF»",
    "with xapp-1-«A0123456789-123456789012-abcdef0123»",
    "with npm_«a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8»",
    "with pypi-AgE«IcHlwaS5vcmcCJGE1b2c3d4e5f6»",
    "with dckr_pat_«a1b2c3d4e5f6g7h8i9j0k1l2m3n»",
    "with «hvs.CAESIJzqwertyuiopasdfghjkl1»",
    "with «hvb.AAAAAQJzqwertyuiopasdfghjkl1»",
    "with s.«a1B2c3D4e5F6g7H8i9J0k1L2»",
    "with sk_live_«a1b2c3d4e5f6g7h8i9j0k1l2»",
    "with rk_test_«a1b2c3d4e5f6g7h8i9j0k1l2»",
    "with whsec_«a1b2c3d4e5f6g7h8i9j0k1l2»",
    "with sk-proj-«a1b2c3d4e5f6g7h8i9j0k1l2»",
    "with sk-ant-«api03-a1b2c3d4e5f6g7h8i9j0»",
    "Incorrect API key provided: sk-«a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6»",
    "with SG.«a1b2c3d4e5f6g7h8i9j0kl.a1b2c3d4e5f6g7h8i9j0a1b2c3d4e5f6g7h8i9j0abc»",
    "with SK«a1b2c3d4e5f60718293a4b5c6d7e8f90»",
    "with «glsa_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6_a1b2c3d4»",
    "with hf_«a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7»",
    "with dop_v1_«a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90»",
    "with «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»",
    "with AGE-SECRET-KEY-1«QWERTYUIOPASDFGHJKLZXCVBNM234567»",
    "-----BEGIN RSA PRIVATE KEY-----\\n«MIIEpAIBAAKCAQEA7qwertyuiop\\n»-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\\n«b3BlbnNzaC1rZXktdjEAAAAA\\n»-----END OPENSSH PRIVATE KEY-----",
    "b3BlbnNzaC1rZXktdjE«AAAAABG5vbmUAAAAEbm9uZQAAAAAAAAAB»",
    "MIIEpAIBAAKCAQEA«7qwertyuiopasdfghjklzxcvbnm1»",
    "{\"type\":\"service_account\",\"private_key\":\"-----BEGIN PRIVATE KEY-----\\n«MIIEvQIBADANBgkqhkiG9w0\\n»-----END PRIVATE KEY-----\\n\"}",
];

/// The line without the marks, and its secrets.
fn read(printed: &str) -> (String, Vec<String>) {
    let mut secrets = Vec::new();
    let mut line = String::new();
    let mut rest = printed;
    while let Some((before, after)) = rest.split_once('«') {
        let (secret, after) = after.split_once('»').expect("every mark is closed");
        line += before;
        line += secret;
        secrets.push(secret.to_owned());
        rest = after;
    }
    (line + rest, secrets)
}

/// Name of a shape, and what makes it of a text.
type Shape = (&'static str, fn(&str) -> String);

/// The ways in which a collector, a runtime or a logger wraps what a program printed.
fn shapes() -> Vec<Shape> {
    fn json(text: &str) -> String {
        serde_json::to_string(text).expect("texts always encode")
    }
    vec![
        ("raw", str::to_owned),
        ("cri", |text| {
            format!("2024-01-01T00:00:00.000000000Z stderr F {text}")
        }),
        ("json", |text| {
            format!("{{\"level\":\"info\",\"msg\":{},\"n\":1}}", json(text))
        }),
        ("json in json", |text| {
            let inner = format!("{{\"msg\":{},\"n\":1}}\n", json(text));
            format!("{{\"log\":{},\"stream\":\"stderr\"}}", json(&inner))
        }),
        ("logfmt", |text| {
            format!("ts=2024-01-01T00:00:00Z level=info msg={} n=1", json(text))
        }),
        ("klog", |text| {
            format!("E0101 00:00:00.000000       1 main.go:42] {text}")
        }),
        ("klog quoted", |text| {
            format!(
                "E0101 00:00:00.000000       1 main.go:42] \"Failed\" err={} pod=\"a/b\"",
                json(text)
            )
        }),
        ("syslog", |text| {
            format!("<30>Jan  1 00:00:00 host app[42]: {text}")
        }),
        ("event", |text| {
            format!(
                "name=a kind=Pod reason=Failed type=Warning msg={} ",
                json(text)
            )
        }),
    ]
}

/// Whether `redacted` still shows `bytes` bytes of `secret`.
fn shows(redacted: &str, secret: &str, bytes: usize) -> bool {
    secret.len() >= bytes && redacted.contains(&secret[..bytes])
}

#[test]
fn every_kind_is_redacted_in_every_shape() {
    let redactor = Redactor::new(Vec::new());
    let mut left = Vec::new();
    for printed in PRINTED {
        let (text, secrets) = read(printed);
        for (shape, wrap) in shapes() {
            let line = wrap(&text);
            let redacted = redactor.redact(line.as_bytes(), &[]);
            let again = redactor.redact(redacted.as_bytes(), &[]);
            if again != redacted {
                left.push(format!("{shape} again: {redacted}\n    {again}"));
            }
            for secret in &secrets {
                // Quotes and escapes differ from shape to shape; the first bytes do not.
                if shows(&redacted, secret, secret.len().min(8))
                    || redacted.contains(&secret[secret.len() - 4..])
                        && !secret.contains(' ')
                        && !secret.ends_with("\\n")
                {
                    left.push(format!("{shape}: {redacted}"));
                }
            }
        }
    }
    assert!(left.is_empty(), "{} left\n{}", left.len(), left.join("\n"));
}

#[test]
fn a_cut_anywhere_shows_no_more_than_the_first_bytes() {
    // So few bytes of a token that only its form tells are no secret yet, and may be the start of a word.
    const SHOWN_MAX: usize = 6;
    let redactor = Redactor::new(Vec::new());
    let mut left = Vec::new();
    for printed in PRINTED {
        let (text, secrets) = read(printed);
        for (shape, wrap) in shapes() {
            let line = wrap(&text);
            for end in 0..line.len() {
                let redacted = redactor.redact(&line.as_bytes()[..end], &[]);
                if secrets
                    .iter()
                    .any(|secret| shows(&redacted, secret, SHOWN_MAX + 1))
                {
                    left.push(format!("{shape}: {redacted}"));
                }
            }
        }
    }
    assert!(left.is_empty(), "{} left\n{}", left.len(), left.join("\n"));
}

//! The texts at which a secret may stand.

/// What a text is that may stand at a secret, and so how it is read on from there.
#[derive(Clone, Copy)]
pub(super) enum Needle {
    /// The end of a name whose value is a secret of this kind.
    Key(&'static str, Form),
    Authorization,
    Cookie,
    /// `Bearer` or `Basic` before a credential.
    Scheme(&'static str),
    /// SMTP's `AUTH PLAIN` and IMAP's `AUTHENTICATE PLAIN` before a credential in base64.
    Sasl,
    /// SQL's `IDENTIFIED BY '…'`.
    Identified,
    /// A setting of Redis that is written with a blank before its value.
    Setting,
    /// `echo … | docker login --password-stdin`
    Piped,
    /// `Unseal Key 1: …`, as Vault prints it.
    Unseal,
    /// The same as a list in JSON.
    UnsealList,
    /// `curl -u user:password`.
    CurlUser,
    /// The base64 of `{"`, with which every JSON Web Token begins.
    Jwt,
    PrivateKey,
    /// How the base64 of a private key begins.
    KeyBody,
    Url,
    /// A short flag before a password, where one of these programs is named before it.
    Flag(&'static str, &'static [&'static str]),
    /// A parameter of a URL whose name is used for much else.
    Query(&'static str),
    /// A URL whose path is the secret.
    Path(&'static str),
    /// `/bot123456789:…`
    Telegram,
    /// `user/password@` of a JDBC URL.
    Oracle,
    /// `user:password` before `@tcp(`, as Go's MySQL driver has it.
    DataSource,
    /// Tokens of a well-known service: this, then at least so many letters, digits, `_` and `-`.
    Prefix(&'static str, usize),
    /// The same where ordinary words begin so too.
    Vague(&'static str, VagueForm),
}

/// What must follow a prefix that says little.
#[derive(Clone, Copy)]
pub(super) enum VagueForm {
    /// At least so many letters, digits, `_`, `-` and inner dots, a digit and a letter among them.
    Mixed(usize),
    /// So many hexadecimal digits and no more.
    Hex(usize),
    /// So many letters and digits and no more, with capitals.
    Base62(usize),
}

/// How sure a name must be before its value is taken for a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The end of any name: `dbPassword`, `AWS_SECRET_ACCESS_KEY`, `x-auth-token`.
    Any,
    /// A word of its own, before `=` or in quotes: `DB_PASS=`, but not `bypass=` or `2 to pass: a, b`.
    Word,
    /// A word of its own in quotes, `"auth":"…"`; or after `_`, `_auth=`.
    Quoted,
}

/// Looked for without regard to case.
pub(super) const NEEDLES: &[(&str, Needle)] = &[
    ("password", Needle::Key("password", Form::Any)),
    ("password_confirmation", Needle::Key("password", Form::Any)),
    ("passwd", Needle::Key("password", Form::Any)),
    ("passphrase", Needle::Key("password", Form::Any)),
    ("pass", Needle::Key("password", Form::Word)),
    ("pwd", Needle::Key("password", Form::Word)),
    ("bindpw", Needle::Key("password", Form::Any)),
    ("rootpw", Needle::Key("password", Form::Any)),
    ("pw", Needle::Key("password", Form::Word)),
    ("identified by ", Needle::Identified),
    ("requirepass", Needle::Setting),
    ("masterauth", Needle::Setting),
    ("echo ", Needle::Piped),
    ("unseal key", Needle::Unseal),
    ("unseal_keys_b64", Needle::UnsealList),
    ("unseal_keys_hex", Needle::UnsealList),
    ("keys_base64", Needle::UnsealList),
    ("token", Needle::Key("token", Form::Any)),
    ("otp", Needle::Key("password", Form::Quoted)),
    ("sharedaccesskey", Needle::Key("api_key", Form::Any)),
    ("x-amz-signature", Needle::Key("signature", Form::Any)),
    ("x-goog-signature", Needle::Key("signature", Form::Any)),
    ("jsessionid", Needle::Key("session", Form::Any)),
    ("phpsessid", Needle::Key("session", Form::Any)),
    ("session_key", Needle::Key("session", Form::Any)),
    ("secret", Needle::Key("secret", Form::Any)),
    ("secret_key", Needle::Key("secret", Form::Any)),
    ("secretkey", Needle::Key("secret", Form::Any)),
    ("secret-key", Needle::Key("secret", Form::Any)),
    ("api_key", Needle::Key("api_key", Form::Any)),
    ("apikey", Needle::Key("api_key", Form::Any)),
    ("api-key", Needle::Key("api_key", Form::Any)),
    ("access_key", Needle::Key("api_key", Form::Any)),
    ("accesskey", Needle::Key("api_key", Form::Any)),
    ("access-key", Needle::Key("api_key", Form::Any)),
    ("account_key", Needle::Key("api_key", Form::Any)),
    ("accountkey", Needle::Key("api_key", Form::Any)),
    ("private_key", Needle::Key("private_key", Form::Any)),
    ("privatekey", Needle::Key("private_key", Form::Any)),
    ("private-key", Needle::Key("private_key", Form::Any)),
    ("encryption_key", Needle::Key("private_key", Form::Any)),
    ("signing_key", Needle::Key("private_key", Form::Any)),
    ("credential", Needle::Key("credential", Form::Word)),
    ("credentials", Needle::Key("credential", Form::Word)),
    ("auth", Needle::Key("credential", Form::Quoted)),
    ("authorization", Needle::Authorization),
    ("auth plain ", Needle::Sasl),
    ("auth login ", Needle::Sasl),
    ("authenticate plain ", Needle::Sasl),
    ("cookie", Needle::Cookie),
    ("bearer", Needle::Scheme("bearer")),
    ("basic", Needle::Scheme("basic_auth")),
    (" -u", Needle::CurlUser),
    ("--user", Needle::CurlUser),
    ("eyj", Needle::Jwt),
    ("-----begin ", Needle::PrivateKey),
    // How its first line begins where that is an entry of its own: OpenSSH's, PKCS#1 and PKCS#8 of 2048 and 4096 bits, SEC1, and PKCS#8 of
    // elliptic curves. RFC 8017, 5208, 5915 and 8410, in base64.
    ("b3BlbnNzaC1rZXktdjE", Needle::KeyBody),
    ("MIIEogIBAAKCAQEA", Needle::KeyBody),
    ("MIIEowIBAAKCAQEA", Needle::KeyBody),
    ("MIIEpAIBAAKCAQEA", Needle::KeyBody),
    ("MIIEpQIBAAKCAQEA", Needle::KeyBody),
    ("MIIJJwIBAAKCAgEA", Needle::KeyBody),
    ("MIIJKAIBAAKCAgEA", Needle::KeyBody),
    ("MIIJKQIBAAKCAgEA", Needle::KeyBody),
    ("MIIJKgIBAAKCAgEA", Needle::KeyBody),
    ("MIIEvAIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIEvgIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIEvwIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIJQQIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIJQgIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIJQwIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIJRAIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MHcCAQEEI", Needle::KeyBody),
    ("MIGHAgEAMBMGByqGSM49", Needle::KeyBody),
    ("MC4CAQAwBQYDK2VwBCIEI", Needle::KeyBody),
    ("://", Needle::Url),
    (":\\/\\/", Needle::Url),
    (
        " -p ",
        Needle::Flag("password", &["login", "sshpass", "ldapsearch"]),
    ),
    (" -p", Needle::Flag("password", &["mysql", "mariadb"])),
    (" -a ", Needle::Flag("password", &["redis-cli"])),
    (
        " -w ",
        Needle::Flag("password", &["ldapsearch", "ldapwhoami", "ldapmodify"]),
    ),
    ("?code=", Needle::Query("code")),
    ("&code=", Needle::Query("code")),
    ("u0026code=", Needle::Query("code")),
    ("?key=", Needle::Query("api_key")),
    ("&key=", Needle::Query("api_key")),
    ("u0026key=", Needle::Query("api_key")),
    ("?sig=", Needle::Query("signature")),
    ("&sig=", Needle::Query("signature")),
    ("u0026sig=", Needle::Query("signature")),
    ("&signature=", Needle::Query("signature")),
    ("u0026signature=", Needle::Query("signature")),
    ("hooks.slack.com/services/", Needle::Path("webhook")),
    ("hooks.slack.com\\/services\\/", Needle::Path("webhook")),
    ("discord.com/api/webhooks/", Needle::Path("webhook")),
    ("discordapp.com/api/webhooks/", Needle::Path("webhook")),
    ("webhook.office.com/webhookb2/", Needle::Path("webhook")),
    ("/bot", Needle::Telegram),
    ("jdbc:oracle:thin:", Needle::Oracle),
    ("jdbc:oracle:oci:", Needle::Oracle),
    ("@tcp(", Needle::DataSource),
    ("@unix(", Needle::DataSource),
    ("AKIA", Needle::Prefix("aws_key", 16)),
    ("ASIA", Needle::Prefix("aws_key", 16)),
    ("AIza", Needle::Prefix("gcp_key", 30)),
    ("ya29.", Needle::Prefix("gcp_token", 20)),
    ("GOCSPX-", Needle::Prefix("gcp_secret", 20)),
    ("ghp_", Needle::Prefix("github_token", 20)),
    ("gho_", Needle::Prefix("github_token", 20)),
    ("ghu_", Needle::Prefix("github_token", 20)),
    ("ghs_", Needle::Prefix("github_token", 20)),
    ("ghr_", Needle::Prefix("github_token", 20)),
    ("github_pat_", Needle::Prefix("github_token", 20)),
    ("glpat-", Needle::Prefix("gitlab_token", 16)),
    ("glrt-", Needle::Prefix("gitlab_token", 16)),
    ("gldt-", Needle::Prefix("gitlab_token", 16)),
    ("glptt-", Needle::Prefix("gitlab_token", 16)),
    ("glcbt-", Needle::Prefix("gitlab_token", 16)),
    ("glsoat-", Needle::Prefix("gitlab_token", 16)),
    ("glft-", Needle::Prefix("gitlab_token", 16)),
    ("glimt-", Needle::Prefix("gitlab_token", 16)),
    ("glagent-", Needle::Prefix("gitlab_token", 16)),
    ("xoxa-", Needle::Prefix("slack_token", 8)),
    ("xoxb-", Needle::Prefix("slack_token", 8)),
    ("xoxc-", Needle::Prefix("slack_token", 8)),
    ("xoxd-", Needle::Prefix("slack_token", 8)),
    ("xoxe-", Needle::Prefix("slack_token", 8)),
    ("xoxe.xoxp-", Needle::Prefix("slack_token", 8)),
    ("xoxp-", Needle::Prefix("slack_token", 8)),
    ("xoxr-", Needle::Prefix("slack_token", 8)),
    ("xoxs-", Needle::Prefix("slack_token", 8)),
    ("xapp-1-", Needle::Prefix("slack_token", 8)),
    ("pypi-AgE", Needle::Prefix("pypi_token", 16)),
    ("dckr_pat_", Needle::Prefix("docker_token", 16)),
    ("dckr_oat_", Needle::Prefix("docker_token", 16)),
    ("hvs.", Needle::Prefix("vault_token", 20)),
    ("hvb.", Needle::Prefix("vault_token", 20)),
    ("hvr.", Needle::Prefix("vault_token", 20)),
    ("sk_live_", Needle::Prefix("stripe_key", 10)),
    ("sk_test_", Needle::Prefix("stripe_key", 10)),
    ("rk_live_", Needle::Prefix("stripe_key", 10)),
    ("rk_test_", Needle::Prefix("stripe_key", 10)),
    ("glsa_", Needle::Prefix("grafana_token", 20)),
    ("glc_", Needle::Prefix("grafana_token", 20)),
    ("dop_v1_", Needle::Prefix("digitalocean_token", 32)),
    ("doo_v1_", Needle::Prefix("digitalocean_token", 32)),
    ("shpat_", Needle::Prefix("shopify_token", 20)),
    ("shpss_", Needle::Prefix("shopify_token", 20)),
    ("AGE-SECRET-KEY-1", Needle::Prefix("private_key", 20)),
    ("sk-ant-", Needle::Prefix("api_key", 16)),
    ("sk-proj-", Needle::Prefix("api_key", 16)),
    ("sq0csp-", Needle::Prefix("square_token", 20)),
    ("PMAK-", Needle::Prefix("postman_key", 20)),
    ("lin_api_", Needle::Prefix("linear_key", 20)),
    ("HRKU-", Needle::Prefix("heroku_key", 20)),
    ("rubygems_", Needle::Prefix("rubygems_key", 30)),
    ("tskey-", Needle::Prefix("tailscale_key", 12)),
    ("NRAK-", Needle::Prefix("newrelic_key", 20)),
    ("atlasv1.", Needle::Prefix("terraform_token", 20)),
    ("npm_", Needle::Vague("npm_token", VagueForm::Mixed(30))),
    ("hf_", Needle::Vague("api_key", VagueForm::Mixed(30))),
    ("whsec_", Needle::Vague("webhook", VagueForm::Mixed(16))),
    ("sk-", Needle::Vague("api_key", VagueForm::Mixed(20))),
    ("SG.", Needle::Vague("sendgrid_key", VagueForm::Mixed(40))),
    ("SK", Needle::Vague("twilio_key", VagueForm::Hex(32))),
    ("s.", Needle::Vague("vault_token", VagueForm::Base62(24))),
];

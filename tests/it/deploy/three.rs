//! NATS as `deploy/nats/overlays/production` has it, all of it: three servers with TLS between them, each at an address of its own, and names that lead to
//! them as a cluster's would.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::nats::Secrets;
use super::rendered::{Rendered, items, text, variables};
use crate::support::incident::{Incident, RULES};
use crate::support::page::{found, read};
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::tls::Authority;
use crate::support::trommel::{Setup, command};
use crate::support::wait;

/// What starts a program with names of its own: `/etc/hosts` is another file to it.
const WITH_HOSTS: &str = r#"mount --bind "$0" /etc/hosts && exec "$@""#;

/// The servers, killed when dropped.
struct Three {
    rendered: Rendered,
    nats_server: PathBuf,
    folder: Scratch,
    servers: Vec<Child>,
}

impl Three {
    /// `None`, with a word, where something for it is missing.
    fn start() -> Option<Self> {
        let nats_server = program::find("nats-server")?;
        let rendered = Rendered::kustomize("deploy/nats/overlays/production")?;
        let authority = Authority::new("the cluster's authority");
        let secrets = Secrets::with_authority(&authority);
        let folder = Scratch::new();
        let pair = authority.peer_called(&names_on_the_page());
        folder.write("tls.crt", pair.certificate);
        folder.write("tls.key", pair.key);
        folder.write("ca.crt", &authority.pem);
        for user in ["nats-setup", "trommel-nats"] {
            folder.write(user, secrets.get(user, "password"));
        }
        let passwords = secrets.get("nats-passwords", "passwords.conf");
        folder.write("passwords.conf", passwords);
        folder.write(
            "accounts.conf",
            rendered.file("nats-config", "accounts.conf"),
        );
        let mut three = Self {
            rendered,
            nats_server,
            folder,
            servers: Vec::new(),
        };
        three.folder.write("hosts", three.hosts());
        let mut nothing = Command::new("unshare");
        if !program::run(nothing.args(three.with_hosts()).arg("true"), "")
            .status
            .success()
        {
            eprintln!(
                "skipped: no file can be mounted over another here, even in a name space of its own"
            );
            return None;
        }
        let replicas = three.rendered.must_get("StatefulSet", "nats")["spec"]["replicas"].as_u64();
        for number in 0..replicas.expect("a number") {
            let server = three.server(usize::try_from(number).expect("few"));
            three.servers.push(server);
        }
        Some(three)
    }

    /// Loopback addresses that no other test has.
    fn address(number: usize) -> String {
        let process = std::process::id();
        format!(
            "127.{}.{}.{}",
            1 + (process >> 8) % 254,
            process % 256,
            2 + number
        )
    }

    /// Each server's name, and that of the service, which leads to any.
    fn hosts(&self) -> String {
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        for number in 0..3 {
            let address = Self::address(number);
            hosts += &format!("{address} nats-{number}.nats-headless nats nats.monitoring.svc\n");
        }
        hosts
    }

    fn with_hosts(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = [
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            WITH_HOSTS,
        ]
        .map(OsString::from)
        .into();
        words.push(self.folder.path("hosts").into());
        words
    }

    /// The pod `nats-NUMBER`, as its StatefulSet starts it, with what it had before if it ran before.
    fn server(&self, number: usize) -> Child {
        let name = format!("nats-{number}");
        let own = self.folder.path(&name);
        std::fs::create_dir_all(&own).expect("the folder is writable");
        let here = self.folder.path("");
        let [own, here] = [own, here].map(|path| path.to_str().expect("a plain name").to_owned());
        let config = self
            .rendered
            .file("nats-config", "nats.conf")
            .replace("0.0.0.0", &Self::address(number))
            .replace("/etc/nats/", &here)
            .replace("include ./accounts.conf", "include ../accounts.conf")
            .replace("store_dir: /data", &format!("store_dir: {own}/data"))
            .replace("/tmp/nats.pid", &format!("{own}/pid"));
        self.folder.write(&format!("{name}/nats.conf"), config);
        Command::new("unshare")
            .args(self.with_hosts())
            .arg(&self.nats_server)
            .args([
                "-c",
                &format!("{own}/nats.conf"),
                "-l",
                &format!("{own}/log"),
            ])
            .env("POD_NAME", name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be started")
    }

    fn kill(&mut self, number: usize) {
        self.servers[number].kill().expect("it runs");
        self.servers[number]
            .wait()
            .expect("a child can be waited for");
    }

    /// Files where they are here, instead of where they are mounted.
    fn local(&self, text: &str) -> String {
        let path = |name: &str| {
            self.folder
                .path(name)
                .to_str()
                .expect("a plain name")
                .to_owned()
        };
        text.replace("/etc/trommel/tls/ca.crt", &path("ca.crt"))
            .replace("/etc/trommel/nats/ca.crt", &path("ca.crt"))
    }

    /// What the Job `nats-setup` prints, when it has succeeded; the kubelet starts it again and again until it has.
    #[track_caller]
    fn set_up(&self, more: &[&str]) -> String {
        let job = self.rendered.must_get("Job", "nats-setup");
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        wait::until("the streams", || {
            let mut setup = Command::new("unshare");
            setup.args(self.with_hosts()).arg(command().get_program());
            setup.args(items(&container["args"]).map(text)).args(more);
            for (name, value) in variables(container) {
                let password = self.folder.path("nats-setup");
                let password = password.to_str().expect("a plain name");
                setup.env(
                    name,
                    self.local(&value.replace("/etc/trommel/nats/password", password)),
                );
            }
            let output = program::run(&mut setup, "");
            let said = String::from_utf8(output.stdout).expect("UTF-8");
            output.status.success().then_some(said)
        })
    }
}

impl Drop for Three {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Those that `docs/deploy.md` has cert-manager make a certificate for.
#[track_caller]
fn names_on_the_page() -> Vec<String> {
    let blocks = found(r"(?s)```yaml other\n(.*?)```", &read("docs/deploy.md"));
    let certificates = blocks
        .iter()
        .filter(|block| block.contains("kind: Certificate"));
    let mut certificates =
        certificates.map(|block| -> Value { serde_saphyr::from_str(block).expect("YAML") });
    let spec = certificates
        .find(|one| one["spec"]["secretName"] == "nats-tls")
        .expect("the page shows it")["spec"]
        .take();
    let usages: Vec<_> = items(&spec["usages"]).map(text).collect();
    assert!(
        usages.contains(&"server auth") && usages.contains(&"client auth"),
        "{usages:?}"
    );
    items(&spec["dnsNames"])
        .map(|name| text(name).to_owned())
        .collect()
}

#[test]
fn three_servers_make_the_streams_and_take_findings_while_one_is_gone() {
    let Some(mut three) = Three::start() else {
        return;
    };
    let said = three.set_up(&[]);
    assert_eq!(said.matches("\n").count(), 5, "{said}");

    let production =
        Rendered::kustomize("deploy/kustomize/overlays/production").expect("there is a kubectl");
    let settings: Value =
        serde_saphyr::from_str(production.file("trommel-config", "trommel.yaml")).expect("YAML");
    let mut nats = settings["nats"].clone();
    nats["password_file"] = three.folder.path("trommel-nats").to_str().into();
    let nats = three.local(&serde_json::json!({"nats": nats}).to_string());
    let under = three.with_hosts();
    let under: Vec<&OsStr> = under.iter().map(OsString::as_os_str).collect();
    let setup = Setup::new(RULES).with_data().with_settings(&nats);
    let trommel = setup.under("unshare", &under).start();
    trommel.wait_for_log("open findings read back from nats");

    three.kill(0);
    trommel.push(&Incident::new().failures("backend"));
    let acked = || trommel.metric("trommel_publish_total", r#"outcome="acked""#) > 0.0;
    wait::until("two servers of three to take the finding", || {
        acked().then_some(())
    });

    three.servers[0] = three.server(0);
    let said = three.set_up(&["--check"]);
    assert_eq!(said.matches("as it should be").count(), 5, "{said}");
    assert_eq!(trommel.terminate().code(), Some(0));
}

//! A container as the kubelet starts it, without an engine: the image's binary in a root directory where there is nothing but it, what the
//! manifests mount, and `/etc/hosts`, as the user that they name and with no rights beyond that user's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;

use super::nats::Secrets;
use super::rendered::{Rendered, items, text, variables};
use crate::support::page::read;
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::trommel::Trommel;

/// The image, as `deploy/Dockerfile` has it start.
pub(super) struct Image {
    /// The static binary: what `scripts/test` builds, or the one that `TROMMEL_TEST_STATIC_BINARY` names.
    binary: PathBuf,
    /// What a container's `args` follow.
    entry_point: Vec<String>,
    variables: BTreeMap<String, String>,
}

impl Image {
    /// `None`, with a word about it, where nobody has built it.
    pub(super) fn new() -> Option<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("it is in the target folder");
        let built = target.join("x86_64-unknown-linux-musl/debug/trommel");
        let binary = program::installed(
            "static binary (cargo build --target x86_64-unknown-linux-musl)",
            std::env::var_os("TROMMEL_TEST_STATIC_BINARY").map_or(built, PathBuf::from),
        )?;
        let dockerfile = read("deploy/Dockerfile");
        let (_, image) = dockerfile
            .split_once("\nFROM scratch\n")
            .expect("the image is made from scratch");
        let lines = |word: &'static str| {
            image
                .lines()
                .filter_map(move |line| line.strip_prefix(word))
        };
        let entry_point = lines("ENTRYPOINT ").next().expect("it has an entry point");
        let variables = lines("ENV ").map(|line| line.split_once('=').expect("a variable"));
        Some(Self {
            binary,
            entry_point: serde_json::from_str(entry_point).expect("a list of words"),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }
}

/// One container of a pod.
pub(super) struct Container {
    root: Arc<Scratch>,
    words: Vec<String>,
    variables: BTreeMap<String, String>,
    /// What is mounted, by its path in the container.
    files: BTreeMap<String, String>,
    /// Where it may write.
    writable: Vec<String>,
    hosts: Vec<String>,
    user: u64,
    /// Bytes that a node keeps for it.
    pub(super) memory_requested: u64,
    /// Bytes of its limit.
    pub(super) memory_max: u64,
}

impl Container {
    /// The container `name` of a pod template. Everything that it mounts must be in `rendered` or in `secrets`.
    #[track_caller]
    pub(super) fn new(
        image: &Image,
        (rendered, template, name): (&Rendered, &Value, &str),
        secrets: &Secrets,
    ) -> Self {
        let pod = &template["spec"];
        let container = items(&pod["containers"])
            .find(|container| container["name"] == name)
            .unwrap_or_else(|| panic!("{}: no container {name}", rendered.name));
        assert!(
            container["command"].is_null(),
            "the image's entry point starts it"
        );
        let mut words = image.entry_point.clone();
        words.extend(items(&container["args"]).map(|arg| text(arg).to_owned()));
        let mut all_variables = image.variables.clone();
        all_variables.extend(variables(container));
        assert_eq!(
            items(&container["env"]).count(),
            variables(container).len(),
            "a variable has no value of its own"
        );

        let root = Scratch::new();
        let (mut files, mut writable) = (BTreeMap::new(), Vec::new());
        for mount in items(&container["volumeMounts"]) {
            let path = text(&mount["mountPath"]);
            let volume = items(&pod["volumes"])
                .find(|volume| volume["name"] == mount["name"])
                .unwrap_or_else(|| panic!("{}: {path} is no volume", rendered.name));
            std::fs::create_dir_all(root.path(inside(path))).expect("the folder is writable");
            if mount["readOnly"] != true {
                writable.push(path.to_owned());
            }
            for (file, content) in contents(volume, rendered, secrets) {
                files.insert(format!("{path}/{file}"), content);
            }
        }
        let own_binary = root.path(inside(&image.entry_point[0]));
        if std::fs::hard_link(&image.binary, &own_binary).is_err() {
            std::fs::copy(&image.binary, &own_binary).expect("the binary can be read");
        }
        let users = [container, pod].map(|one| one["securityContext"]["runAsUser"].as_u64());
        let bytes = |kind: &str| -> u64 {
            let written = text(&container["resources"][kind]["memory"]);
            let mebibytes = written.strip_suffix("Mi").expect("in MiB");
            mebibytes.parse::<u64>().expect("a number") << 20
        };
        Self {
            root: Arc::new(root),
            words,
            variables: all_variables,
            files,
            writable,
            hosts: vec!["localhost".to_owned()],
            user: users
                .into_iter()
                .flatten()
                .next()
                .expect("its user is named"),
            memory_requested: bytes("requests"),
            memory_max: bytes("limits"),
        }
    }

    /// trommel's.
    #[track_caller]
    pub(super) fn trommel(image: &Image, rendered: &Rendered, secrets: &Secrets) -> Self {
        let (deployment, _) = rendered.trommel();
        let template = &deployment["spec"]["template"];
        let mut container = Self::new(image, (rendered, template, "trommel"), secrets);
        // Ports of its own beside other tests, and no pods that have to be told that it ends.
        for word in ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"] {
            container.words.push(word.to_owned());
        }
        let variable = ("TROMMEL_SHUTDOWN_DELAY".to_owned(), "0s".to_owned());
        container.variables.extend([variable]);
        container
    }

    /// One more file, in a volume that is mounted.
    pub(super) fn with_file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.to_owned(), content.to_owned());
        self
    }

    /// With more at the end of a file.
    #[track_caller]
    pub(super) fn with_more_in(mut self, path: &str, more: &str) -> Self {
        *self.files.get_mut(path).expect("it is mounted") += more;
        self
    }

    /// With another word in place of one of its arguments.
    #[track_caller]
    pub(super) fn with_argument(mut self, word: &str, other: &str) -> Self {
        let place = self.words.iter().position(|one| one == word);
        other.clone_into(&mut self.words[place.expect("it is an argument")]);
        self
    }

    /// The Service `name` of `rendered`, by the names that a cluster gives it, is the server at `address`. The container must ask for it by one of these names, and by
    /// a port that the Service has.
    #[track_caller]
    pub(super) fn reaching(mut self, rendered: &Rendered, name: &str, address: SocketAddr) -> Self {
        let service = rendered.must_get("Service", name);
        let namespace = text(&service["metadata"]["namespace"]);
        let names = [name.to_owned(), format!("{name}.{namespace}.svc")];
        let mut places: Vec<_> = self
            .files
            .values_mut()
            .chain(self.variables.values_mut())
            .collect();
        let mut found = 0;
        for port in items(&service["spec"]["ports"]).filter_map(|port| port["port"].as_u64()) {
            for name in &names {
                let (asked, here) = (
                    format!("//{name}:{port}"),
                    format!("//{name}:{}", address.port()),
                );
                for place in &mut places {
                    found += place.matches(&asked).count();
                    **place = place.replace(&asked, &here);
                }
            }
        }
        assert!(found > 0, "nothing asks for {names:?}");
        self.hosts.extend(names);
        self
    }

    /// Starts trommel; `None`, with a word, where the system does not let us.
    #[track_caller]
    pub(super) fn start(&self) -> Option<Trommel> {
        Some(Trommel::started_by(self.command()?, Arc::clone(&self.root)))
    }

    /// Runs it to its end, and returns what it printed; `None` as for [`Container::start`].
    #[track_caller]
    pub(super) fn run(&self) -> Option<String> {
        Some(program::succeed(&mut self.command()?, ""))
    }

    fn command(&self) -> Option<Command> {
        let user = self.user.to_string();
        let as_user = ["--user", "--map-user", &user, "--map-group", &user];
        let mut nothing = Command::new("unshare");
        if !program::run(nothing.args(as_user).arg("true"), "")
            .status
            .success()
        {
            eprintln!("skipped: there are no user name spaces here");
            return None;
        }
        let mut unshare = Command::new("unshare");
        unshare.args(as_user);
        for (path, content) in &self.files {
            self.root.write(inside(path), content);
        }
        std::fs::create_dir_all(self.root.path("etc")).expect("the folder is writable");
        let hosts = format!("127.0.0.1 {}\n", self.hosts.join(" "));
        self.root.write("etc/hosts", hosts);
        unshare
            .arg("--root")
            .arg(self.root.path(""))
            .args(&self.words)
            .env_clear()
            .envs(&self.variables);
        Some(unshare)
    }

    /// A path of the container, as it is outside.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.path(inside(path))
    }

    /// Files that are there now, are neither mounted nor the image's, and lie where it may not write: its root is read-only in a cluster.
    pub(super) fn strays(&self) -> Vec<String> {
        let mut strays = Vec::new();
        let mut folders = vec![self.root.path("")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("it is there") {
                let path = entry.expect("readable").path();
                let below = path.strip_prefix(self.root.path("")).expect("it is in it");
                let name = format!("/{}", below.display());
                if self.writable.contains(&name) {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if !self.files.contains_key(&name)
                    && ![self.words[0].as_str(), "/etc/hosts"].contains(&name.as_str())
                {
                    strays.push(name);
                }
            }
        }
        strays
    }
}

/// An absolute path, seen from the root.
fn inside(path: &str) -> &str {
    path.strip_prefix('/').expect("an absolute path")
}

/// The files of a volume.
#[track_caller]
fn contents(volume: &Value, rendered: &Rendered, secrets: &Secrets) -> BTreeMap<String, String> {
    let sources = items(&volume["projected"]["sources"]).chain([volume]);
    let mut files = BTreeMap::new();
    for source in sources {
        let (chosen, data) = if let Some(map) = source.get("configMap") {
            let data = match rendered.get("ConfigMap", text(&map["name"])) {
                Some(found) => found["data"].clone(),
                None if map["optional"] == true => continue,
                None => panic!("{}: no ConfigMap {}", rendered.name, map["name"]),
            };
            (map, data)
        } else if let Some(secret) = source.get("secret") {
            let name = secret.get("secretName").unwrap_or(&secret["name"]);
            (secret, secrets.data(text(name)).clone())
        } else {
            continue;
        };
        match chosen.get("items") {
            Some(chosen) => files.extend(items(chosen).map(|item| {
                (
                    text(&item["path"]).to_owned(),
                    text(&data[text(&item["key"])]).to_owned(),
                )
            })),
            None => files.extend(
                data.as_object()
                    .into_iter()
                    .flatten()
                    .map(|(key, content)| (key.clone(), text(content).to_owned())),
            ),
        }
    }
    files
}

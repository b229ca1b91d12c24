//! Kubernetes objects as kubectl and helm print them, and what can be asked of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use trommel::config::{Config, RawConfig};

use crate::support::program;
use crate::support::scratch::Scratch;

/// What both shapes label everything with.
pub(crate) const PART_OF: &str = "app.kubernetes.io/part-of";

/// The oldest release of Kubernetes that these objects are for.
const KUBERNETES: &str = "1.31";

/// Objects that are applied together.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    /// What was rendered, for messages.
    pub(crate) name: String,
    pub(crate) objects: Vec<Value>,
}

impl Rendered {
    /// Reads YAML documents.
    #[track_caller]
    pub(crate) fn read(name: &str, text: &str) -> Self {
        let objects: Vec<Value> = serde_saphyr::from_multiple(text)
            .unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        let objects: Vec<_> = objects
            .into_iter()
            .filter(|object| !object.is_null())
            .collect();
        assert!(!objects.is_empty(), "{name} is empty");
        Self {
            name: name.to_owned(),
            objects,
        }
    }

    /// `kubectl kustomize` of a folder of the repository; `None` where there is no kubectl.
    #[track_caller]
    pub(crate) fn kustomize(folder: &str) -> Option<Self> {
        Self::kustomize_at(folder, &root().join(folder))
    }

    #[track_caller]
    pub(crate) fn kustomize_at(name: &str, folder: &Path) -> Option<Self> {
        let kubectl = program::find("kubectl")?;
        let printed = program::succeed(Command::new(kubectl).arg("kustomize").arg(folder), "");
        Some(Self::read(name, &printed))
    }

    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects
            .iter()
            .filter(move |object| object["kind"] == kind)
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        self.all(kind)
            .find(|object| object["metadata"]["name"] == name)
    }

    #[track_caller]
    pub(crate) fn must_get(&self, kind: &str, name: &str) -> &Value {
        self.get(kind, name)
            .unwrap_or_else(|| panic!("{}: no {kind} {name}", self.name))
    }

    /// Every pod template, with the name of whose it is.
    pub(crate) fn pods(&self) -> impl Iterator<Item = (String, &Value)> {
        self.objects.iter().filter_map(|object| {
            let name = format!(
                "{} {}",
                text(&object["kind"]),
                text(&object["metadata"]["name"])
            );
            let template = match text(&object["kind"]) {
                "Pod" => object,
                _ => object["spec"].get("template")?,
            };
            template["spec"].get("containers").map(|_| (name, template))
        })
    }

    /// The Deployment that trommel runs in, and its container.
    #[track_caller]
    pub(crate) fn trommel(&self) -> (&Value, &Value) {
        let deployment = self
            .all("Deployment")
            .find(|object| object["metadata"]["labels"][PART_OF] == "trommel")
            .unwrap_or_else(|| panic!("{}: no Deployment of trommel", self.name));
        let container = items(&deployment["spec"]["template"]["spec"]["containers"])
            .find(|container| container["name"] == "trommel")
            .unwrap_or_else(|| panic!("{}: no container", self.name));
        (deployment, container)
    }

    /// The settings that trommel starts with: its file and its variables.
    #[track_caller]
    pub(crate) fn settings(&self) -> Config {
        let scratch = Scratch::new();
        let text = self.file("trommel-config", "trommel.yaml");
        let file = scratch.write("trommel.yaml", text);
        let (_, container) = self.trommel();
        let variables = variables(container);
        let variable = |name: &str| variables.get(name).cloned();
        Config::load(Some(&file), variable, &RawConfig::default())
            .unwrap_or_else(|error| panic!("{}: {error}\n{text}", self.name))
    }

    /// What a ConfigMap has under `key`.
    #[track_caller]
    pub(crate) fn file(&self, map: &str, key: &str) -> &str {
        let is_it = |object: &&Value| {
            let name = text(&object["metadata"]["name"]);
            name == map || is_hashed(name, map)
        };
        let map = self
            .all("ConfigMap")
            .find(is_it)
            .unwrap_or_else(|| panic!("{}: no ConfigMap {map}", self.name));
        text(&map["data"][key])
    }
}

/// Whether `name` is `base` with kustomize's hash behind it.
fn is_hashed(name: &str, base: &str) -> bool {
    name.strip_prefix(base)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|hash| hash.len() == 10 && hash.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// The variables of a container that have a value of their own.
pub(crate) fn variables(container: &Value) -> BTreeMap<String, String> {
    items(&container["env"])
        .filter(|variable| variable["value"].is_string())
        .map(|variable| {
            let [name, value] = ["name", "value"].map(|key| text(&variable[key]).to_owned());
            (name, value)
        })
        .collect()
}

/// The items of a list; none where there is no list.
pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("`{value}` is no text"))
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Holds objects against the schemas of Kubernetes, and of the Prometheus operator for its own.
#[track_caller]
pub(crate) fn check_schemas(all: &[Rendered]) {
    let tools = program::tools().join("deploy");
    let Some(validate) =
        program::installed("kubernetes-validate", tools.join("bin/kubernetes-validate"))
    else {
        return;
    };
    let scratch = Scratch::new();
    // Most objects are the same in all of them.
    let mut objects = BTreeMap::new();
    for rendered in all {
        for object in &rendered.objects {
            objects.entry(object.to_string()).or_insert(object);
        }
    }
    let documents: String = objects
        .keys()
        .map(|object| format!("---\n{object}\n"))
        .collect();
    let file = scratch.write("objects.yaml", documents);
    let mut command = Command::new(&validate);
    command.args(["--strict", "--no-warn", "--quiet", "-k", KUBERNETES]);
    let output = program::run(command.arg(&file), "");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
    let of_operator: Vec<&Value> = objects
        .into_values()
        .filter(|object| object["apiVersion"] == "monitoring.coreos.com/v1")
        .collect();
    let mut node = Command::new("node");
    node.arg(root().join("tests/deploy/operator.mjs"))
        .arg(&tools);
    let input = serde_json::to_string(&of_operator).expect("JSON");
    let said = program::succeed(&mut node, &input);
    assert_eq!(said, format!("{} valid\n", of_operator.len()));
}

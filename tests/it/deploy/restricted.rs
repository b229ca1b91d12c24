//! The Pod Security Standard `restricted`. Source: <https://kubernetes.io/docs/concepts/security/pod-security-standards/>, with the rows
//! of `baseline` that it includes; and beyond it a root file system that cannot be written to.

use serde_json::Value;

use super::rendered::items;

/// Kinds of volumes that are allowed.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What a pod template does that is not allowed.
pub(super) fn violations(template: &Value) -> Vec<String> {
    let spec = &template["spec"];
    let mut wrong = Vec::new();
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[key] == true {
            wrong.push(format!("{key} is true"));
        }
    }
    for volume in items(&spec["volumes"]) {
        let kinds = volume.as_object().into_iter().flat_map(|keys| keys.keys());
        for kind in kinds.filter(|key| *key != "name") {
            if !VOLUMES.contains(&kind.as_str()) {
                wrong.push(format!("volume {}: {kind}", volume["name"]));
            }
        }
    }
    if !items(&spec["securityContext"]["sysctls"])
        .collect::<Vec<_>>()
        .is_empty()
    {
        wrong.push("sysctls".to_owned());
    }
    let containers = ["containers", "initContainers", "ephemeralContainers"];
    for container in containers.iter().flat_map(|key| items(&spec[*key])) {
        let name = &container["name"];
        let own = &container["securityContext"];
        // A container's word goes before its pod's.
        let effective = |key: &str| match &own[key] {
            Value::Null => spec["securityContext"][key].clone(),
            value => value.clone(),
        };
        let mut must = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{name}: {what}"));
            }
        };
        must(own["privileged"] != true, "privileged");
        must(own["procMount"].is_null(), "procMount");
        must(
            own["allowPrivilegeEscalation"] == false,
            "allowPrivilegeEscalation is not false",
        );
        must(
            effective("runAsNonRoot") == true,
            "runAsNonRoot is not true",
        );
        must(
            effective("runAsUser").as_u64().is_some_and(|user| user > 0),
            "runAsUser is root, or left to the image",
        );
        must(
            effective("seccompProfile")["type"] == "RuntimeDefault",
            "seccompProfile is not RuntimeDefault",
        );
        must(
            own["capabilities"]["drop"] == serde_json::json!(["ALL"]),
            "capabilities are not all dropped",
        );
        must(
            items(&own["capabilities"]["add"]).all(|added| added == "NET_BIND_SERVICE"),
            "capabilities are added",
        );
        must(
            items(&container["ports"]).all(|port| port["hostPort"].is_null()),
            "hostPort",
        );
        must(
            own["readOnlyRootFilesystem"] == true,
            "readOnlyRootFilesystem is not true",
        );
    }
    wrong
}

#[test]
fn whatever_is_not_restricted_is_named() {
    let pod = serde_json::json!({"spec": {
        "hostNetwork": true,
        "volumes": [{"name": "logs", "hostPath": {"path": "/var/log"}}, {"name": "fine", "emptyDir": {}}],
        "containers": [{"name": "a", "ports": [{"hostPort": 1}], "securityContext": {
            "privileged": true, "runAsUser": 0, "capabilities": {"add": ["SYS_ADMIN"]}}}],
    }});
    expect_test::expect![[r#"
        hostNetwork is true
        volume "logs": hostPath
        "a": privileged
        "a": allowPrivilegeEscalation is not false
        "a": runAsNonRoot is not true
        "a": runAsUser is root, or left to the image
        "a": seccompProfile is not RuntimeDefault
        "a": capabilities are not all dropped
        "a": capabilities are added
        "a": hostPort
        "a": readOnlyRootFilesystem is not true"#]]
    .assert_eq(&violations(&pod).join("\n"));
}

//! Files that the chart must hold itself, since a chart is packed as one folder, and that Kustomize takes from there: each is what it
//! is made from. `UPDATE_EXPECT=1` brings them up to date.

use super::rendered::root;

/// Makes a copy out of its source.
type Make = fn(&str) -> String;

/// A file of the chart, what it is made from, and how.
const COPIES: [(&str, &str, Make); 3] = [
    ("alloy/config.alloy", "alloy/api-mode.alloy", beside_alloy),
    (
        "grafana/trommel.json",
        "deploy/grafana/trommel.json",
        as_it_is,
    ),
    (
        "prometheus/prometheusrule.yaml",
        "deploy/prometheus/rules.yaml",
        as_rule,
    ),
];

#[test]
fn the_charts_files_are_what_they_are_made_from() {
    for (copy, source, make) in COPIES {
        let source_text = std::fs::read_to_string(root().join(source)).expect(source);
        let path = root().join("deploy/helm/trommel/files").join(copy);
        let expected = make(&source_text);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &expected).expect("it can be written");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == expected,
            "UPDATE_EXPECT=1 brings {} up to date with {source}",
            path.display()
        );
    }
}

fn as_it_is(text: &str) -> String {
    text.to_owned()
}

/// Alloy's configuration, with trommel in the same pod.
fn beside_alloy(text: &str) -> String {
    let elsewhere = "http://trommel.monitoring.svc:3101/";
    assert_eq!(
        text.matches(elsewhere).count(),
        1,
        "one loki.write for trommel"
    );
    text.replace(elsewhere, "http://127.0.0.1:3101/")
}

/// The rules of a Prometheus as an object of its operator.
fn as_rule(text: &str) -> String {
    let head = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: trommel\n  labels:\n    app.kubernetes.io/part-of: trommel\nspec:\n";
    let indented = |line: &str| {
        if line.is_empty() {
            "\n".to_owned()
        } else {
            format!("  {line}\n")
        }
    };
    text.lines()
        .map(indented)
        .fold(head.to_owned(), |all, line| all + line.as_str())
}

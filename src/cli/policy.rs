//! `trommel policy`: who may do what about an incident, and who says so.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::output::{Output, visible, write_table};
use super::{Exit, compile};
use crate::rule_check::{Decided, profile};
use crate::rules::{IncidentType, LoadOptions, Loaded, RuleSet, Severity, Source, Taxonomy};

/// Show what may be done about an incident type, by whom, and where each part comes from
///
/// Later parts win: the policy that ships, its overlay for the environment, an operator's file and its overlay, a rule's
/// `actions`. No file changes the hard constraints: recover and disruptive are never automatic, and what is for humans only
/// stays so. Without a type, lists all of them. Trommel itself acts on nothing.
#[derive(Debug, Clone, Args)]
pub struct PolicyArgs {
    /// Id of the incident type
    #[arg(value_name = "INCIDENT_TYPE")]
    pub incident_type: Option<String>,
    /// Name of the environment; without one, no overlay applies
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Rule files and directories, for the incident types in them and the rules' `actions`; repeatable
    /// [default: the rules that ship with trommel]
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    pub format: PolicyFormat,
}

/// How a policy is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PolicyFormat {
    /// Tables
    #[default]
    Text,
    /// One object, or one list of objects
    Json,
}

/// Prints the policy, or the list of types.
pub(super) fn run(
    arguments: &PolicyArgs,
    out: &mut impl Output,
    diagnostics: &mut impl Output,
) -> anyhow::Result<Exit> {
    let environment = arguments
        .environment
        .as_deref()
        .filter(|name| !name.is_empty());
    // The rules of all environments are looked at: which of them are on is another question.
    let Loaded { set, taxonomy, .. } =
        compile::load(&LoadOptions::default(), &arguments.rules, diagnostics)?;
    let Some(id) = &arguments.incident_type else {
        list(&taxonomy, arguments.format, out)?;
        return Ok(Exit::Fine);
    };
    let Some(known) = taxonomy.types.get(id) else {
        match taxonomy.nearest(id) {
            Some(meant) => {
                anyhow::bail!("there is no incident type `{id}`: did you mean `{meant}`?")
            }
            None => anyhow::bail!(
                "there is no incident type `{id}`: `trommel policy` lists those that there are"
            ),
        }
    };
    let shown = Shown::new(known, environment, &set.unwrap_or_default());
    match arguments.format {
        PolicyFormat::Text => shown.text(known, out)?,
        PolicyFormat::Json => json(&shown, out)?,
    }
    Ok(Exit::Fine)
}

fn json(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// A type in the list of all.
#[derive(Serialize)]
struct Listed<'a> {
    incident_type: &'a str,
    domain: &'a str,
    severity: Severity,
    display_name: Option<&'a str>,
}

fn list(taxonomy: &Taxonomy, format: PolicyFormat, out: &mut impl Write) -> io::Result<()> {
    let types = taxonomy.types.values().map(|known| Listed {
        incident_type: &known.id,
        domain: &known.domain,
        severity: known.severity(None),
        display_name: known.display_name.as_deref(),
    });
    if format == PolicyFormat::Json {
        return json(&types.collect::<Vec<_>>(), out);
    }
    let rows: Vec<_> = types
        .map(|listed| {
            [
                listed.incident_type.to_owned(),
                listed.domain.to_owned(),
                listed.severity.to_string(),
                visible(listed.display_name.unwrap_or_default()),
            ]
        })
        .collect();
    write_table(out, ["INCIDENT TYPE", "DOMAIN", "SEVERITY", "NAME"], &rows)
}

/// A type's policy as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    incident_type: &'a str,
    display_name: Option<&'a str>,
    description: Option<&'a str>,
    environment: Option<&'a str>,
    domain: Part<&'a str>,
    severity: Part<Severity>,
    always_critical: bool,
    policy: Decided,
    /// What differs for rules of this type that have `actions`.
    rules: BTreeMap<String, Decided>,
    constraints: [&'static str; 2],
}

/// What no file can change, in words.
const CONSTRAINTS: [&str; 2] = [
    "recover and disruptive are never automatic",
    "what is for humans only stays so",
];

/// A value and where it comes from.
#[derive(Serialize)]
struct Part<T> {
    value: T,
    from: &'static str,
    source: String,
}

impl<'a> Shown<'a> {
    fn new(known: &'a IncidentType, environment: Option<&'a str>, set: &RuleSet) -> Self {
        let part = |source: &Source| {
            let ships = known.ships && *source == known.source;
            let from = if ships {
                "built-in taxonomy"
            } else {
                "operator's file"
            };
            (from, place(source))
        };
        let (domain_from, domain_source) = part(&known.source);
        let (severity_from, severity_source) = part(&known.severity_source);
        let of_type = set
            .rules
            .iter()
            .filter(|rule| rule.incident_type == known.id);
        let rules = of_type.filter_map(|rule| {
            let profile = profile(rule)?;
            let policy = known.policy(environment, Some(&profile));
            Some((rule.id.clone(), Decided::new(&policy)))
        });
        Self {
            incident_type: &known.id,
            display_name: known.display_name.as_deref(),
            description: known.description.as_deref(),
            environment,
            domain: Part {
                value: &known.domain,
                from: domain_from,
                source: domain_source,
            },
            severity: Part {
                value: known.severity(None),
                from: severity_from,
                source: severity_source,
            },
            always_critical: known.always_critical,
            policy: Decided::new(&known.policy(environment, None)),
            rules: rules.collect(),
            constraints: CONSTRAINTS,
        }
    }

    fn text(&self, known: &IncidentType, out: &mut impl Write) -> io::Result<()> {
        match self.display_name {
            Some(name) => writeln!(out, "{}: {}", self.incident_type, visible(name))?,
            None => writeln!(out, "{}", self.incident_type)?,
        }
        if let Some(description) = self.description {
            writeln!(out, "{}", visible(description.trim_end()))?;
        }
        writeln!(out)?;
        let overlays = known.environments();
        let environment = match self.environment {
            None => "none".to_owned(),
            Some(name) if overlays.contains(&name) => name.to_owned(),
            Some(name) => format!("{} (nothing differs here)", visible(name)),
        };
        let severity = match self.always_critical {
            true => format!("{}, always", self.severity.value),
            false => self.severity.value.to_string(),
        };
        let row = |name: &str, value: &str, from: &str, source: &str| {
            [name, value, from, &visible(source)].map(str::to_owned)
        };
        let rows = [
            row(
                "domain",
                self.domain.value,
                self.domain.from,
                &self.domain.source,
            ),
            row(
                "severity",
                &severity,
                self.severity.from,
                &self.severity.source,
            ),
            row("environment", &environment, "", ""),
        ];
        write_table(out, ["PART", "VALUE", "FROM", "WRITTEN AT"], &rows)?;
        writeln!(out)?;
        write_decided(&self.policy, out)?;
        for (rule, decided) in &self.rules {
            writeln!(out, "\nfor findings of the rule {rule}:")?;
            write_decided(decided, out)?;
        }
        writeln!(
            out,
            "\nno file changes this: {}",
            self.constraints.join("; ")
        )
    }
}

fn write_decided(decided: &Decided, out: &mut impl Write) -> io::Result<()> {
    let groups = [
        ("automatic", &decided.automatic),
        ("approval", &decided.approval),
        ("humans only", &decided.human_only),
    ];
    let rows: Vec<_> = groups
        .into_iter()
        .flat_map(|(needs, decisions)| {
            decisions.iter().map(move |decision| {
                [
                    needs.to_owned(),
                    decision.class.to_string(),
                    visible(&decision.action),
                    decision.from.clone(),
                    visible(&decision.source),
                ]
            })
        })
        .collect();
    let heading = ["NEEDS", "CLASS", "ACTION", "FROM", "WRITTEN AT"];
    write_table(out, heading, &rows)
}

fn place(source: &Source) -> String {
    format!("{}:{}", source.file, source.line)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Scratch, trommel};
    use super::*;

    #[test]
    fn a_policy_says_where_each_part_comes_from() {
        let (exit, out, diagnostics) = trommel(&[
            "policy",
            "runtime_dependency_outage",
            "--environment",
            "staging",
        ]);
        assert_eq!((exit, &*diagnostics), (Exit::Fine, ""));
        // Lines move when the file that ships does.
        let out: String = out
            .lines()
            .map(|line| match line.rsplit_once(".yaml:") {
                Some((before, number)) if number.bytes().all(|b| b.is_ascii_digit()) => {
                    format!("{before}.yaml\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        expect_test::expect![[r#"
            runtime_dependency_outage: Runtime dependency outage
            A service that workloads need at run time is down, or cannot be reached.

            PART         VALUE             FROM               WRITTEN AT
            domain       runtime_services  built-in taxonomy  builtin/taxonomy.yaml
            severity     warning           built-in taxonomy  builtin/taxonomy.yaml
            environment  staging

            NEEDS      CLASS       ACTION                       FROM                          WRITTEN AT
            automatic  observe     observe                      built-in policy               builtin/taxonomy.yaml
            automatic  notify      notify                       built-in policy               builtin/taxonomy.yaml
            automatic  contain     one limited restart          built-in environment overlay  builtin/taxonomy.yaml
            approval   recover     patch the configuration      built-in policy               builtin/taxonomy.yaml
            approval   recover     reconcile the release        built-in policy               builtin/taxonomy.yaml
            approval   disruptive  restart a shared dependency  built-in policy               builtin/taxonomy.yaml

            no file changes this: recover and disruptive are never automatic; what is for humans only stays so
        "#]].assert_eq(&out);
    }

    #[test]
    fn production_has_no_automatic_restart() {
        let restart = |environment: &str| {
            let line = ["policy", "runtime_dependency_outage", "--format", "json"];
            let line = [&line[..], &["--environment", environment]].concat();
            let (_, out, _) = trommel(&line);
            let shown: serde_json::Value = serde_json::from_str(&out).expect("JSON");
            ["automatic", "approval"].map(|needs| {
                let actions = shown["policy"][needs].as_array().expect("a list");
                actions
                    .iter()
                    .any(|action| action["action"] == "one limited restart")
            })
        };
        assert_eq!(restart("demo"), [true, false]);
        assert_eq!(restart("staging"), [true, false]);
        assert_eq!(restart("production"), [false, true]);
    }

    #[test]
    fn a_file_and_a_rule_are_named_where_they_decide() {
        let files = Scratch::new();
        let rules = files.write(
            "mine.yaml",
            "incident_types:
  - id: error_spike
    default_severity: critical
    policy:
      human_only: [{recover: roll back the release}]
rules:
  - {id: mine, match: connection refused, incident_type: error_spike, actions: [observe, contain]}
",
        );
        let line = [
            "policy",
            "error_spike",
            "--format",
            "json",
            "--rules",
            &rules,
        ];
        let (exit, out, diagnostics) = trommel(&line);
        assert_eq!((exit, &*diagnostics), (Exit::Fine, ""));
        let shown: serde_json::Value = serde_json::from_str(&files.strip(&out)).expect("JSON");
        assert_eq!(shown["severity"]["value"], "critical");
        assert_eq!(shown["severity"]["from"], "operator's file");
        assert_eq!(shown["severity"]["source"], "mine.yaml:2");
        assert_eq!(shown["domain"]["from"], "built-in taxonomy");
        let human_only = &shown["policy"]["human_only"][0];
        assert_eq!(human_only["action"], "roll back the release");
        assert_eq!(human_only["from"], "operator's policy");
        assert_eq!(human_only["source"], "mine.yaml:5");
        let mine = &shown["rules"]["mine"];
        let names = |needs: &str| {
            let actions = mine[needs].as_array().expect("a list").iter();
            let names: Vec<_> = actions.map(|action| action["action"].clone()).collect();
            names
        };
        assert_eq!(names("automatic"), ["observe", "contain"]);
        assert_eq!(names("approval"), ["notify", "restart the workload"]);
        assert_eq!(mine["approval"][0]["from"], "rule mine");
        assert_eq!(mine["approval"][0]["source"], "mine.yaml:7");
    }

    #[test]
    fn without_a_type_all_of_them_are_listed() {
        let (exit, out, _) = trommel(&["policy"]);
        assert_eq!(exit, Exit::Fine);
        assert!(out.starts_with("INCIDENT TYPE "), "{out}");
        let row = out
            .lines()
            .find(|line| line.starts_with("database_connectivity_degraded "));
        assert!(row.expect("it ships").contains(" critical "), "{out}");
        let (_, out, _) = trommel(&["policy", "--format", "json"]);
        let list: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert!(list.as_array().expect("a list").len() >= 20);
    }

    #[test]
    fn a_type_that_nobody_described_could_not_be_shown() {
        let (exit, out, diagnostics) = trommel(&["policy", "node_disk_presure"]);
        assert_eq!((exit, &*out), (Exit::CouldNotRun, ""));
        assert_eq!(
            diagnostics,
            "trommel: there is no incident type `node_disk_presure`: did you mean `node_disk_pressure`?\n"
        );
    }
}

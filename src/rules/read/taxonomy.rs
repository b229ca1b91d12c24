//! Reading domains, incident types and their policies.

use std::ops::Range;

use super::Reader;
use super::value::{Entries, PROSE_BYTES_MAX};
use crate::rules::keys::{ACTION_CLASSES, PROFILE, Place, SEVERITIES};
use crate::rules::model::Severity;
use crate::rules::problem::{Code, Fault, shortened};
use crate::rules::taxonomy::{Action, ActionClass, Permission};
use crate::rules::yaml::{Node, Value};

/// A file's domains and incident types, with the places that joining them with those of others reports.
#[derive(Debug, Clone, Default)]
pub(in crate::rules) struct TaxonomyDraft {
    pub(in crate::rules) domains: Vec<DomainDraft>,
    pub(in crate::rules) types: Vec<TypeDraft>,
}

impl TaxonomyDraft {
    /// Whether it says nothing.
    pub(in crate::rules) fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.types.is_empty()
    }
}

/// A domain as read.
#[derive(Debug, Clone)]
pub(in crate::rules) struct DomainDraft {
    pub(in crate::rules) id: String,
    pub(in crate::rules) at: Range<usize>,
    pub(in crate::rules) line: usize,
    pub(in crate::rules) display_name: Option<String>,
    pub(in crate::rules) description: Option<String>,
}

/// An incident type as read.
#[derive(Debug, Clone)]
pub(in crate::rules) struct TypeDraft {
    pub(in crate::rules) id: String,
    pub(in crate::rules) at: Range<usize>,
    pub(in crate::rules) line: usize,
    pub(in crate::rules) domain: Option<(String, Range<usize>)>,
    pub(in crate::rules) display_name: Option<String>,
    pub(in crate::rules) description: Option<String>,
    pub(in crate::rules) default_severity: Option<(Severity, Range<usize>)>,
    pub(in crate::rules) always_critical: Option<(bool, Range<usize>)>,
    /// In the order written: the policy, then each environment's.
    pub(in crate::rules) statements: Vec<StatementDraft>,
}

/// What a policy says of one action.
#[derive(Debug, Clone)]
pub(in crate::rules) struct StatementDraft {
    pub(in crate::rules) action: Action,
    pub(in crate::rules) permission: Permission,
    pub(in crate::rules) environment: Option<String>,
    pub(in crate::rules) at: Range<usize>,
    pub(in crate::rules) line: usize,
}

/// The keys of a policy, and what they mean.
const PERMISSIONS: [(&str, Permission); 3] = [
    ("automatic", Permission::Automatic),
    ("approval", Permission::Approval),
    ("human_only", Permission::HumanOnly),
];

impl Reader<'_> {
    /// Reads `domains` and `incident_types` of a file.
    pub(super) fn taxonomy(&mut self, keys: &Entries<'_>) -> TaxonomyDraft {
        let mut draft = TaxonomyDraft::default();
        if let Some(list) = keys.get("domains") {
            for node in self.list(list, "`domains`", "- id: infrastructure") {
                draft.domains.extend(self.domain(node));
            }
        }
        if let Some(list) = keys.get("incident_types") {
            for node in self.list(list, "`incident_types`", "- id: workload_failure") {
                draft.types.extend(self.incident_type(node));
            }
        }
        draft
    }

    fn list<'n>(&mut self, node: &'n Node, what: &str, example: &str) -> &'n [Node] {
        let Value::List(items) = &node.value else {
            let message = format!("{what} must be a list");
            self.fault(
                Fault::new(Code::Shape, node.span.clone(), message)
                    .help(format!("every item begins with `{example}`")),
            );
            return &[];
        };
        items
    }

    fn domain(&mut self, node: &Node) -> Option<DomainDraft> {
        let keys = self.map(node, Place::Domain)?;
        let (id, at) = self.id_of(node, &keys, "the domain")?;
        Some(DomainDraft {
            id,
            at,
            line: self.source.line_at(node.span.start).1,
            display_name: self.display_name(&keys),
            description: self.prose(&keys),
        })
    }

    fn incident_type(&mut self, node: &Node) -> Option<TypeDraft> {
        let keys = self.map(node, Place::IncidentType)?;
        let display_name = self.display_name(&keys);
        let description = self.prose(&keys);
        let domain = keys.get("domain").and_then(|node| {
            let id = self.token(node, "`domain`")?;
            Some((id, node.span.clone()))
        });
        let default_severity = keys.get("default_severity").and_then(|node| {
            let severity = Severity::ALL[self.one_of(node, "`default_severity`", SEVERITIES)?];
            Some((severity, node.span.clone()))
        });
        let always_critical = keys.get("always_critical").and_then(|node| {
            let on = self.flag(node, "`always_critical`")?;
            Some((on, node.span.clone()))
        });
        let statements = keys
            .get("policy")
            .map(|node| self.policy(node))
            .unwrap_or_default();
        let (id, at) = self.id_of(node, &keys, "the incident type")?;
        Some(TypeDraft {
            id,
            at,
            line: self.source.line_at(node.span.start).1,
            domain,
            display_name,
            description,
            default_severity,
            always_critical,
            statements,
        })
    }

    fn id_of(
        &mut self,
        node: &Node,
        keys: &Entries<'_>,
        what: &str,
    ) -> Option<(String, Range<usize>)> {
        let Some(id) = keys.get("id") else {
            self.missing_in(node, what, "id", "- id: …");
            return None;
        };
        Some((self.token(id, "`id`")?, id.span.clone()))
    }

    fn display_name(&mut self, keys: &Entries<'_>) -> Option<String> {
        let node = keys.get("display_name")?;
        self.line(node, "`display_name`").map(str::to_owned)
    }

    fn prose(&mut self, keys: &Entries<'_>) -> Option<String> {
        let node = keys.get("description")?;
        let text = self.text(node, "`description`", PROSE_BYTES_MAX);
        text.map(str::to_owned)
    }

    fn policy(&mut self, node: &Node) -> Vec<StatementDraft> {
        let example =
            "policy: {automatic: [observe, notify], approval: [{recover: restart the workload}]}";
        let mut statements = Vec::new();
        let Some(keys) = self.form_of(node, Place::Policy, example) else {
            return statements;
        };
        self.permissions(&keys, None, &mut statements);
        let Some(overlays) = keys.get("environments") else {
            return statements;
        };
        let Value::Map(entries) = &overlays.value else {
            let message =
                "`environments` is a map of the names of environments and what differs there";
            self.fault(
                Fault::new(Code::Shape, overlays.span.clone(), message)
                    .help("write `environments: {staging: {automatic: [{contain: one limited restart}]}}`"),
            );
            return statements;
        };
        for (key, overlay) in entries {
            let Some(name) = self.environment(key) else {
                continue;
            };
            let example = "{automatic: [{contain: one limited restart}]}";
            if let Some(keys) = self.form_of(overlay, Place::Overlay, example) {
                self.permissions(&keys, Some(&name), &mut statements);
            }
        }
        statements
    }

    fn permissions(
        &mut self,
        keys: &Entries<'_>,
        environment: Option<&str>,
        statements: &mut Vec<StatementDraft>,
    ) {
        let before = statements.len();
        for (name, permission) in PERMISSIONS {
            let Some(list) = keys.get(name) else { continue };
            for node in self.items(list, &format!("`{name}`")) {
                let Some(action) = self.action(node) else {
                    continue;
                };
                if permission == Permission::Automatic && !action.class.may_be_automatic() {
                    let message =
                        format!("`{}` is never automatic: a hard constraint", action.class);
                    self.fault(
                        Fault::new(Code::Constraint, node.span.clone(), message)
                            .help("put it under `approval` or `human_only`"),
                    );
                    continue;
                }
                if statements[before..]
                    .iter()
                    .any(|said| said.action == action)
                {
                    let message = format!("`{}` is in this policy already", action.name);
                    self.fault(Fault::new(Code::Value, node.span.clone(), message));
                    continue;
                }
                statements.push(StatementDraft {
                    action,
                    permission,
                    environment: environment.map(str::to_owned),
                    at: node.span.clone(),
                    line: self.source.line_at(node.span.start).1,
                });
            }
        }
    }

    /// `observe`, or `{contain: delete finished pods}`.
    fn action(&mut self, node: &Node) -> Option<Action> {
        let Value::Map(entries) = &node.value else {
            let class = self.one_of(node, "an action", ACTION_CLASSES)?;
            return Some(Action::of(ActionClass::ALL[class]));
        };
        let [(key, name)] = &entries[..] else {
            let message = "an action is a class and a name, in a map of one entry";
            self.fault(Fault::new(Code::Shape, node.span.clone(), message).help(
                "write `{contain: delete finished pods}`, and each action as an item of its own",
            ));
            return None;
        };
        let class = self.one_of(key, "the class of an action", ACTION_CLASSES)?;
        let name = self.line(name, "the name of an action")?;
        Some(Action {
            class: ActionClass::ALL[class],
            name: name.to_owned(),
        })
    }

    /// A rule's `actions`.
    pub(super) fn profile(&mut self, list: &Node) -> Option<Vec<ActionClass>> {
        let mut classes = Vec::new();
        for node in self.items(list, "`actions`") {
            let known = node.scalar();
            let known =
                known.and_then(|text| ACTION_CLASSES.iter().position(|class| *class == text));
            let class = known.map(|place| ActionClass::ALL[place]);
            if let Some(class) = class
                && !class.may_be_automatic()
            {
                let message = format!("`{class}` is never automatic: a hard constraint");
                self.fault(
                    Fault::new(Code::Constraint, node.span.clone(), message).help(
                        "a rule may ask for `observe`, `notify` and `contain`, and for no more",
                    ),
                );
                continue;
            }
            let Some(place) = self.one_of(node, "an item of `actions`", PROFILE) else {
                continue;
            };
            let class = ActionClass::ALL[place];
            if classes.contains(&class) {
                let message = format!("`{}` is in `actions` already", shortened(class.as_str()));
                self.fault(Fault::new(Code::Value, node.span.clone(), message));
            } else {
                classes.push(class);
            }
        }
        Some(classes)
    }
}

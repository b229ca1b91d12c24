//! What kinds of incidents there are, and who may do what about them.
//!
//! `rules/taxonomy.yaml` ships; files of operators add types in the same form, and change what ships as far as the hard
//! constraints allow. Trommel acts on nothing: a policy is advice for whoever does.

mod apply;
mod merge;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Serialize;

pub(super) use apply::apply;
pub(super) use merge::{Part, merge};

use super::keys::nearest;
use super::model::{Advice, Severity, Source};
use super::read;
use super::shipped::shipped as shipped_files;

/// Domains and incident types.
#[derive(Debug, Clone, Default)]
pub struct Taxonomy {
    /// By their ids.
    pub domains: BTreeMap<String, Domain>,
    /// By their ids.
    pub types: BTreeMap<String, IncidentType>,
}

/// A part of the world in which incidents happen: the first token of a subject behind the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Title for people.
    pub display_name: Option<String>,
    /// What belongs to it.
    pub description: Option<String>,
    /// Whether it is as it ships.
    pub ships: bool,
    /// Where it was written.
    pub source: Source,
}

/// A kind of incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentType {
    /// `[a-z0-9_]{1,64}`.
    pub id: String,
    /// The id of its domain.
    pub domain: String,
    /// Title for people.
    pub display_name: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Severity of rules that have none; `None` is [`Severity::Warning`].
    pub default_severity: Option<Severity>,
    /// Whether no rule may lower its severity.
    pub always_critical: bool,
    /// Where its severity was written, or the type itself without one.
    pub severity_source: Source,
    /// Who may do what, statement by statement; later ones win.
    pub statements: Vec<Statement>,
    /// Whether it ships, as it is or changed.
    pub ships: bool,
    /// Where it was written.
    pub source: Source,
    /// Where an operator's file changes it.
    pub changed: Option<Source>,
}

/// What is done about an incident, by its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionClass {
    /// Looking.
    Observe,
    /// Telling people.
    Notify,
    /// Keeping it from growing, where that can be undone.
    Contain,
    /// Repairing.
    Recover,
    /// What hurts others, or cannot be undone.
    Disruptive,
}

impl ActionClass {
    /// Every class, in rising order of what it can do.
    pub const ALL: [Self; 5] = [
        Self::Observe,
        Self::Notify,
        Self::Contain,
        Self::Recover,
        Self::Disruptive,
    ];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Notify => "notify",
            Self::Contain => "contain",
            Self::Recover => "recover",
            Self::Disruptive => "disruptive",
        }
    }

    /// Whether it may ever be done without anybody's approval: a hard constraint, which no file can change.
    #[must_use]
    pub fn may_be_automatic(self) -> bool {
        self <= Self::Contain
    }
}

impl fmt::Display for ActionClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that can be done about an incident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Action {
    /// What kind of action.
    pub class: ActionClass,
    /// What exactly; the name of its class where there is no more to say.
    pub name: String,
}

impl Action {
    /// The action that is nothing but its class.
    #[must_use]
    pub fn of(class: ActionClass) -> Self {
        Self {
            class,
            name: class.as_str().to_owned(),
        }
    }
}

/// Whose leave an action needs, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Nobody's.
    Automatic,
    /// Somebody's approval.
    Approval,
    /// People do it themselves, or nobody does. A hard constraint: what is so stays so.
    HumanOnly,
}

/// What a policy says of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Of which action.
    pub action: Action,
    /// What it needs.
    pub permission: Permission,
    /// Where it holds; everywhere without one.
    pub environment: Option<String>,
    /// Who says so.
    pub origin: Origin,
    /// Where it was written.
    pub source: Source,
}

/// Who says something of a policy. Later ones win.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Trommel: what every type allows that says nothing of it.
    Default,
    /// The policy that ships.
    BuiltIn,
    /// The environment overlay that ships.
    Overlay,
    /// An operator's file.
    Operator,
    /// An operator's file, for one environment.
    OperatorOverlay,
    /// A rule's `actions`.
    Rule(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::BuiltIn => f.write_str("built-in policy"),
            Self::Overlay => f.write_str("built-in environment overlay"),
            Self::Operator => f.write_str("operator's policy"),
            Self::OperatorOverlay => f.write_str("operator's environment overlay"),
            Self::Rule(id) => write!(f, "rule {id}"),
        }
    }
}

/// What may be done about incidents of one type, in one environment: the last statement on each action.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// In the order of permission, class, and as they were written.
    pub decisions: Vec<Statement>,
}

impl Policy {
    /// The names of its actions, by permission.
    #[must_use]
    pub fn advice(&self) -> Advice {
        let names = |permission| {
            let decisions = self.decisions.iter();
            decisions
                .filter(|decision| decision.permission == permission)
                .map(|decision| decision.action.name.clone())
                .collect()
        };
        Advice {
            automatic: names(Permission::Automatic),
            approval: names(Permission::Approval),
            human_only: names(Permission::HumanOnly),
        }
    }
}

/// A rule's `actions`: the classes that are automatic for it, as far as the constraints allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Of [`ActionClass::Observe`], [`ActionClass::Notify`], [`ActionClass::Contain`].
    pub classes: Vec<ActionClass>,
    /// The rule.
    pub rule: String,
    /// Where it says so.
    pub source: Source,
}

impl Taxonomy {
    /// What ships.
    #[must_use]
    pub fn shipped() -> Arc<Self> {
        static SHIPPED: OnceLock<Arc<Taxonomy>> = OnceLock::new();
        Arc::clone(SHIPPED.get_or_init(|| {
            let mut taxonomy = Self::default();
            let files = shipped_files().files.iter();
            let drafts: Vec<_> = files
                .map(|file| {
                    let draft = read::taxonomy(&file.source, &file.root);
                    (&*file.source.name, draft)
                })
                .collect();
            let parts: Vec<_> = drafts
                .iter()
                .map(|(file, draft)| Part {
                    draft,
                    file,
                    ships: true,
                })
                .collect();
            // A test shows that there is nothing wrong with them.
            merge(&mut taxonomy, &parts, &mut |_, _| {});
            Arc::new(taxonomy)
        }))
    }
}

impl Taxonomy {
    /// The type that somebody who wrote `id` may have meant.
    #[must_use]
    pub fn nearest(&self, id: &str) -> Option<&str> {
        nearest(id, self.types.keys().map(String::as_str))
    }
}

impl IncidentType {
    /// The environments in which something differs, each once.
    #[must_use]
    pub fn environments(&self) -> BTreeSet<&str> {
        let statements = self.statements.iter();
        statements
            .filter_map(|statement| statement.environment.as_deref())
            .collect()
    }

    /// The severity of a rule of this type that says `severity`.
    #[must_use]
    pub fn severity(&self, severity: Option<Severity>) -> Severity {
        if self.always_critical {
            return Severity::Critical;
        }
        severity
            .or(self.default_severity)
            .unwrap_or(Severity::Warning)
    }

    /// What may be done in `environment`, for a rule with this `profile`. Without an environment no overlay applies.
    ///
    /// Later statements win: what ships, its overlay for the environment, the operator's file, its overlay, the rule. But what
    /// is for humans only stays so, and nothing becomes automatic that never may be: the hard constraints.
    #[must_use]
    pub fn policy(&self, environment: Option<&str>, profile: Option<&Profile>) -> Policy {
        let mut decisions: Vec<Statement> = Vec::new();
        let says = [ActionClass::Observe, ActionClass::Notify];
        let default = says.map(|class| Statement {
            action: Action::of(class),
            permission: Permission::Automatic,
            environment: None,
            origin: Origin::Default,
            source: self.source.clone(),
        });
        let applies = |statement: &&Statement| {
            statement.environment.is_none() || statement.environment.as_deref() == environment
        };
        let mut statements: Vec<&Statement> = self.statements.iter().filter(applies).collect();
        statements.sort_by_key(|statement| &statement.origin);
        for statement in default.iter().chain(statements) {
            decide(&mut decisions, statement.clone());
        }
        if let Some(profile) = profile {
            self.narrow_or_raise(&mut decisions, profile);
        }
        decisions.sort_by_key(|decision| (decision.permission, decision.action.class));
        Policy { decisions }
    }

    /// Applies a rule's `actions`: actions of these classes are automatic, of the others not. Looking always is.
    fn narrow_or_raise(&self, decisions: &mut Vec<Statement>, profile: &Profile) {
        let of_rule = |action: Action, permission| Statement {
            action,
            permission,
            environment: None,
            origin: Origin::Rule(profile.rule.clone()),
            source: profile.source.clone(),
        };
        for class in ActionClass::ALL {
            if !class.may_be_automatic() {
                continue;
            }
            let wanted = profile.classes.contains(&class) || class == ActionClass::Observe;
            let permission = if wanted {
                Permission::Automatic
            } else {
                Permission::Approval
            };
            let mut known = decisions
                .iter()
                .filter(|decision| decision.action.class == class)
                .map(|decision| decision.action.clone())
                .collect::<Vec<_>>();
            if known.is_empty() && wanted {
                known.push(Action::of(class));
            }
            for action in known {
                decide(decisions, of_rule(action, permission));
            }
        }
    }
}

/// Lets `statement` decide about its action, unless a hard constraint forbids it or nothing changes.
fn decide(decisions: &mut Vec<Statement>, statement: Statement) {
    let automatic = statement.permission == Permission::Automatic;
    if automatic && !statement.action.class.may_be_automatic() {
        return;
    }
    let mut known = decisions.iter_mut();
    match known.find(|decision| decision.action == statement.action) {
        None => decisions.push(statement),
        Some(decision) => {
            let changes = decision.permission != statement.permission
                // Who repeats a default has said it.
                || decision.origin == Origin::Default;
            if decision.permission != Permission::HumanOnly && changes {
                *decision = statement;
            }
        }
    }
}

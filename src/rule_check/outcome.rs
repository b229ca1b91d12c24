//! What may be done about a rule's findings, by whom, and who says so: for each environment.

use schemars::JsonSchema;
use serde::Serialize;

use crate::rules::{ActionClass, Permission, Policy, Profile, Rule, Source, Statement, Taxonomy};

/// What may be done in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Outcome {
    /// Its name; empty for one of which no policy says anything.
    pub environment: String,
    /// What may be done, by whom.
    #[serde(flatten)]
    pub decided: Decided,
}

/// Actions by what they need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Decided {
    /// Nobody's leave.
    pub automatic: Vec<Decision>,
    /// Somebody's approval.
    pub approval: Vec<Decision>,
    /// People do it themselves.
    pub human_only: Vec<Decision>,
}

/// An action, and who says what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Decision {
    /// What kind of action.
    #[schemars(with = "String")]
    pub class: ActionClass,
    /// What exactly.
    pub action: String,
    /// Who says so.
    pub from: String,
    /// File and line.
    pub source: String,
}

/// What may be done about findings of `rule`: where no overlay applies, in each environment that its type has one for, and in
/// `here`, where trommel runs.
#[must_use]
pub fn outcome(rule: &Rule, taxonomy: &Taxonomy, here: &str) -> Vec<Outcome> {
    let Some(known) = taxonomy.types.get(&rule.incident_type) else {
        return Vec::new();
    };
    let mut environments = known.environments();
    environments.extend(["", here]);
    let profile = profile(rule);
    let of = |name: &str| Outcome {
        environment: name.to_owned(),
        decided: Decided::new(
            &known.policy(Some(name).filter(|name| !name.is_empty()), profile.as_ref()),
        ),
    };
    environments.into_iter().map(of).collect()
}

impl Decided {
    /// As `policy` has it.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let of = |permission| {
            let decisions = policy.decisions.iter();
            decisions
                .filter(|decision| decision.permission == permission)
                .map(Decision::new)
                .collect()
        };
        Self {
            automatic: of(Permission::Automatic),
            approval: of(Permission::Approval),
            human_only: of(Permission::HumanOnly),
        }
    }
}

impl Decision {
    fn new(statement: &Statement) -> Self {
        let Source { file, line } = &statement.source;
        Self {
            class: statement.action.class,
            action: statement.action.name.clone(),
            from: statement.origin.to_string(),
            source: format!("{file}:{line}"),
        }
    }
}

/// A rule's `actions`.
#[must_use]
pub fn profile(rule: &Rule) -> Option<Profile> {
    Some(Profile {
        classes: rule.actions.clone()?,
        rule: rule.id.clone(),
        source: rule.source.clone(),
    })
}

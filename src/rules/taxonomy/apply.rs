//! What follows for a rule from its incident type: domain, severity, and who may do what.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Profile, Taxonomy};
use crate::rules::keys::nearest;
use crate::rules::load::Faults;
use crate::rules::problem::{Code, Fault};
use crate::rules::read::Draft;

/// How many unknown types get a suggestion.
const SUGGESTIONS_MAX: usize = 20;

/// Fills in what follows from each rule's type. Without `all_readable`, a type may be in a file that could not be read.
pub(in crate::rules) fn apply(
    taxonomy: &Taxonomy,
    environment: Option<&str>,
    drafts: &mut [(usize, Draft)],
    all_readable: bool,
    faults: &mut Faults,
) {
    // A default is read for every rule, and wrong once.
    let mut reported = HashSet::new();
    let mut suggestions = 0;
    for (file, draft) in drafts {
        let mut fault = |fault: Fault| {
            if reported.insert((*file, fault.at.start, fault.message.clone())) {
                faults.add(*file, fault);
            }
        };
        let name = &draft.rule.incident_type;
        if name.is_empty() {
            continue;
        }
        let Some(known) = taxonomy.types.get(name) else {
            if all_readable {
                let message = format!("there is no incident type `{name}`");
                let wrong = Fault::new(Code::UnknownType, draft.type_at.clone(), message);
                suggestions += 1;
                let ids = taxonomy.types.keys().map(String::as_str);
                let ids = ids.take(if suggestions > SUGGESTIONS_MAX {
                    0
                } else {
                    usize::MAX
                });
                fault(match nearest(name, ids) {
                    Some(meant) => wrong.help(format!("did you mean `{meant}`?")),
                    None => wrong.help(
                        "`trommel policy` lists those that there are; a new one is described under `incident_types:` of any rule file",
                    ),
                });
            }
            continue;
        };
        if let Some((domain, at)) = &draft.domain
            && *domain != known.domain
        {
            let message = format!("`{name}` is of the domain `{}`", known.domain);
            fault(
                Fault::new(Code::Conflict, at.clone(), message)
                    .help("leave `domain` out: it follows from the incident type"),
            );
        }
        draft.rule.domain.clone_from(&known.domain);
        let given = draft.severity.as_ref().map(|(severity, _)| *severity);
        draft.rule.severity = known.severity(given);
        if let Some((severity, at)) = &draft.severity
            && *severity < draft.rule.severity
        {
            let message = format!(
                "`severity: {severity}` changes nothing: `{name}` is always {}",
                draft.rule.severity
            );
            fault(Fault::new(Code::Ineffective, at.clone(), message).help("leave `severity` out"));
        }
        let profile = draft.profile.as_ref().map(|classes| Profile {
            classes: classes.clone(),
            rule: draft.rule.id.clone(),
            source: draft.rule.source.clone(),
        });
        let policy = known.policy(environment, profile.as_ref());
        draft.rule.policy = Arc::new(policy.advice());
        draft.rule.actions = profile.map(|profile| profile.classes);
    }
}

//! One taxonomy of several files: what ships, then what operators add and change, as far as the hard constraints allow.

use super::{Domain, IncidentType, Origin, Permission, Statement, Taxonomy};
use crate::rules::keys::nearest;
use crate::rules::model::{Severity, Source};
use crate::rules::problem::{Code, Fault};
use crate::rules::read::{DomainDraft, TaxonomyDraft, TypeDraft};

/// Most domains, and most incident types: each is a token of subjects that consumers choose from.
const DOMAINS_MAX: usize = 100;
const TYPES_MAX: usize = 1000;

/// A file's part of a taxonomy.
pub(in crate::rules) struct Part<'a> {
    pub(in crate::rules) draft: &'a TaxonomyDraft,
    /// The file's name.
    pub(in crate::rules) file: &'a str,
    /// Whether it ships.
    pub(in crate::rules) ships: bool,
}

/// Adds `parts` to `taxonomy`; what is wrong with the part at a place goes to `fault`.
pub(in crate::rules) fn merge(
    taxonomy: &mut Taxonomy,
    parts: &[Part<'_>],
    fault: &mut dyn FnMut(usize, Fault),
) {
    for (place, part) in parts.iter().enumerate() {
        for draft in &part.draft.domains {
            if let Err(wrong) = domain(taxonomy, draft, part) {
                fault(place, wrong);
            }
        }
    }
    for (place, part) in parts.iter().enumerate() {
        for draft in &part.draft.types {
            let mut merging = Merging {
                taxonomy,
                draft,
                part,
                faults: Vec::new(),
            };
            merging.incident_type();
            for wrong in merging.faults {
                fault(place, wrong);
            }
        }
    }
}

/// Adds a domain, or changes the prose of one that ships.
fn domain(taxonomy: &mut Taxonomy, draft: &DomainDraft, part: &Part<'_>) -> Result<(), Fault> {
    let full = taxonomy.domains.len() >= DOMAINS_MAX;
    let source = part.source(draft.line);
    let Some(known) = taxonomy.domains.get_mut(&draft.id) else {
        if full {
            let message = format!("there are more than {DOMAINS_MAX} domains");
            return Err(Fault::new(Code::TooMany, draft.at.clone(), message));
        }
        let domain = Domain {
            display_name: draft.display_name.clone(),
            description: draft.description.clone(),
            ships: part.ships,
            source,
        };
        taxonomy.domains.insert(draft.id.clone(), domain);
        return Ok(());
    };
    if !known.ships {
        let Source { file, line } = &known.source;
        let message = format!(
            "the domain `{}` is already described at {file}:{line}",
            draft.id
        );
        return Err(Fault::new(Code::DuplicateId, draft.at.clone(), message));
    }
    for (prose, given) in [
        (&mut known.display_name, &draft.display_name),
        (&mut known.description, &draft.description),
    ] {
        if given.is_some() {
            prose.clone_from(given);
        }
    }
    known.ships = false;
    known.source = source;
    Ok(())
}

impl Part<'_> {
    fn source(&self, line: usize) -> Source {
        Source {
            file: self.file.to_owned(),
            line,
        }
    }
}

struct Merging<'a> {
    taxonomy: &'a mut Taxonomy,
    draft: &'a TypeDraft,
    part: &'a Part<'a>,
    faults: Vec<Fault>,
}

impl Merging<'_> {
    fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    fn incident_type(&mut self) {
        let id = &self.draft.id;
        let merged = match self.taxonomy.types.get(id) {
            None => self.added(),
            Some(known) if self.part.ships || known.changed.is_some() || !known.ships => {
                let Source { file, line } = known.changed.as_ref().unwrap_or(&known.source);
                let message = format!("`{id}` is already described at {file}:{line}");
                let fault = Fault::new(Code::DuplicateId, self.draft.at.clone(), message);
                self.fault(
                    fault.help("one file describes an incident type, or changes one that ships"),
                );
                None
            }
            Some(known) => {
                let known = known.clone();
                Some(self.changed(known))
            }
        };
        if let Some(mut merged) = merged {
            self.state(&mut merged);
            self.taxonomy.types.insert(id.clone(), merged);
        }
    }

    /// A type that was not there.
    fn added(&mut self) -> Option<IncidentType> {
        let draft = self.draft;
        if self.taxonomy.types.len() >= TYPES_MAX {
            let message = format!("there are more than {TYPES_MAX} incident types");
            self.fault(Fault::new(Code::TooMany, draft.at.clone(), message));
            return None;
        }
        let domains = || {
            let ids = self.taxonomy.domains.keys();
            ids.map(String::as_str).collect::<Vec<_>>()
        };
        let Some((domain, at)) = &draft.domain else {
            let message = format!("the incident type `{}` has no `domain`", draft.id);
            let help = format!("it is one of `{}`", domains().join("`, `"));
            self.fault(Fault::new(Code::Missing, draft.at.clone(), message).help(help));
            return None;
        };
        if !self.taxonomy.domains.contains_key(domain) {
            let message = format!("there is no domain `{domain}`");
            let help = match nearest(domain, domains()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!(
                    "it is one of `{}`, or described under `domains:`",
                    domains().join("`, `")
                ),
            };
            self.fault(Fault::new(Code::UnknownType, at.clone(), message).help(help));
            return None;
        }
        let always_critical = draft.always_critical.as_ref().is_some_and(|(on, _)| *on);
        if always_critical {
            self.stays_critical();
        }
        Some(IncidentType {
            id: draft.id.clone(),
            domain: domain.clone(),
            display_name: draft.display_name.clone(),
            description: draft.description.clone(),
            default_severity: draft
                .default_severity
                .as_ref()
                .map(|(severity, _)| *severity),
            always_critical,
            severity_source: self.part.source(draft.line),
            statements: Vec::new(),
            ships: self.part.ships,
            source: self.part.source(draft.line),
            changed: None,
        })
    }

    /// A type that ships, with what the draft says of it.
    fn changed(&mut self, mut known: IncidentType) -> IncidentType {
        let draft = self.draft;
        if let Some((domain, at)) = &draft.domain
            && *domain != known.domain
        {
            let message = format!(
                "`{}` is of the domain `{}`, which is part of its subjects",
                draft.id, known.domain
            );
            self.fault(
                Fault::new(Code::Conflict, at.clone(), message)
                    .help("drop `domain`, or describe a type with another id"),
            );
        }
        if let (true, Some((false, at))) = (known.always_critical, &draft.always_critical) {
            let message = format!("`{}` is always critical: a hard constraint", draft.id);
            self.fault(
                Fault::new(Code::Constraint, at.clone(), message)
                    .help("drop `always_critical`, or describe a type with another id"),
            );
        }
        let becomes_critical = draft.always_critical.as_ref().is_some_and(|(on, _)| *on);
        if becomes_critical && !known.always_critical || draft.default_severity.is_some() {
            known.severity_source = self.part.source(draft.line);
        }
        known.always_critical |= becomes_critical;
        if known.always_critical {
            self.stays_critical();
        }
        if let Some((severity, _)) = draft.default_severity {
            known.default_severity = Some(severity);
        }
        for (prose, given) in [
            (&mut known.display_name, &draft.display_name),
            (&mut known.description, &draft.description),
        ] {
            if given.is_some() {
                prose.clone_from(given);
            }
        }
        known.changed = Some(self.part.source(draft.line));
        known
    }

    /// A type that is always critical has no other default.
    fn stays_critical(&mut self) {
        let draft = self.draft;
        if let Some((severity, at)) = &draft.default_severity
            && *severity != Severity::Critical
        {
            let message = format!("`{}` is always critical: a hard constraint", draft.id);
            self.fault(
                Fault::new(Code::Constraint, at.clone(), message).help("drop `default_severity`"),
            );
        }
    }

    /// Adds what the draft's policy says.
    fn state(&mut self, merged: &mut IncidentType) {
        let draft = self.draft;
        for said in &draft.statements {
            let meets = |other: &Option<String>| {
                other.is_none() || said.environment.is_none() || *other == said.environment
            };
            let mut before = merged.statements.iter();
            let human_only = before.find(|other| {
                other.permission == Permission::HumanOnly
                    && other.action == said.action
                    && meets(&other.environment)
            });
            if let Some(human_only) = human_only
                && said.permission != Permission::HumanOnly
            {
                let Source { file, line } = &human_only.source;
                let message = format!(
                    "`{}` is for humans only, as {file}:{line} says: a hard constraint",
                    said.action.name
                );
                self.fault(
                    Fault::new(Code::Constraint, said.at.clone(), message)
                        .help("drop it here: what is for humans only stays so"),
                );
                continue;
            }
            let origin = match (self.part.ships, said.environment.is_some()) {
                (true, false) => Origin::BuiltIn,
                (true, true) => Origin::Overlay,
                (false, false) => Origin::Operator,
                (false, true) => Origin::OperatorOverlay,
            };
            merged.statements.push(Statement {
                action: said.action.clone(),
                permission: said.permission,
                environment: said.environment.clone(),
                origin,
                source: self.part.source(said.line),
            });
        }
    }
}

//! What rules allow, and what they allow in vain.

use std::collections::{HashMap, HashSet};

use super::Lints;
use crate::rules::problem::{Code, Fault, Level};
use crate::rules::read::Draft;

/// What can be said about [`Code::SharedLine`] only when example lines have been tried, which is done elsewhere.
#[derive(Debug, Default)]
pub(in crate::rules) struct Settled {
    /// Each `allow` of it: its file, what to say if it is in vain, and the drafts that it is for: several, where it is in
    /// `defaults`.
    pub(in crate::rules) sharing: Vec<(usize, Fault, Vec<usize>)>,
    /// Pairs of drafts of which one was told already that the other matches its lines.
    pub(in crate::rules) overlapping: Vec<(usize, usize)>,
}

/// Adds to `files` what `lints` found and is not allowed, takes out what was found earlier and is, and adds what is allowed in
/// vain. Without `lints`, which an invalid set has none of, it cannot be known what is in vain.
pub(in crate::rules) fn settle(
    drafts: &[(usize, Draft)],
    lints: Option<Lints>,
    files: &mut [Vec<Fault>],
) -> Settled {
    let mut allows = Allows::of(drafts);
    for (file, faults) in files.iter_mut().enumerate() {
        faults.retain(|fault| {
            fault.code.level() == Level::Error || !allows.takes_at(file, fault.at.start, fault.code)
        });
    }
    let Some(lints) = lints else {
        return Settled::default();
    };
    let mut said = HashSet::new();
    for (place, fault) in lints.found {
        let file = drafts[place].0;
        // What `defaults` say is said once, and not for each rule.
        if !allows.takes(place, fault.code)
            && said.insert((file, fault.code, fault.at.start, fault.message.clone()))
        {
            files[file].push(fault);
        }
    }
    let sharing = allows.in_vain(files);
    Settled {
        sharing,
        overlapping: lints.overlapping,
    }
}

/// Every `allow` of a set, and which of them were needed.
struct Allows<'d> {
    drafts: &'d [(usize, Draft)],
    /// Places of drafts, by file and where they begin.
    by_place: Vec<usize>,
    /// For each file and code the first draft that has an `allow` of it from `defaults`.
    by_default: HashMap<(usize, Code), usize>,
    /// By file and where they are written.
    used: HashSet<(usize, usize)>,
}

impl<'d> Allows<'d> {
    fn of(drafts: &'d [(usize, Draft)]) -> Self {
        let mut by_place: Vec<usize> = (0..drafts.len()).collect();
        by_place.sort_by_key(|&place| (drafts[place].0, drafts[place].1.span.start));
        let mut by_default = HashMap::new();
        for (place, (file, draft)) in drafts.iter().enumerate() {
            for (code, span) in &draft.allow {
                if !draft.span.contains(&span.start) {
                    by_default.entry((*file, *code)).or_insert(place);
                }
            }
        }
        Self {
            drafts,
            by_place,
            by_default,
            used: HashSet::new(),
        }
    }

    /// Whether the draft at `place` allows `code`.
    fn takes(&mut self, place: usize, code: Code) -> bool {
        let (file, draft) = &self.drafts[place];
        let found = draft.allow.iter().find(|(allowed, _)| *allowed == code);
        if let Some((_, span)) = found {
            self.used.insert((*file, span.start));
        }
        found.is_some()
    }

    /// Whether the rule that holds the byte `at` of `file` allows `code`, or `defaults`, if no rule holds it.
    fn takes_at(&mut self, file: usize, at: usize, code: Code) -> bool {
        let begins = |place: &usize| {
            let (of, draft) = &self.drafts[*place];
            (*of, draft.span.start) <= (file, at)
        };
        let before = self.by_place.partition_point(begins);
        let last = before.checked_sub(1).map(|last| self.by_place[last]);
        let holds = |place: &usize| {
            let (of, draft) = &self.drafts[*place];
            *of == file && at <= draft.span.end
        };
        let place = last
            .filter(holds)
            .or_else(|| self.by_default.get(&(file, code)).copied());
        place.is_some_and(|place| self.takes(place, code))
    }

    /// Reports what no warning needed, save those whose warning comes later: they are returned as [`Settled::sharing`] has them.
    fn in_vain(self, files: &mut [Vec<Fault>]) -> Vec<(usize, Fault, Vec<usize>)> {
        let mut sharing: Vec<(usize, Fault, Vec<usize>)> = Vec::new();
        let mut known: HashMap<(usize, usize), Option<usize>> = HashMap::new();
        for (place, (file, draft)) in self.drafts.iter().enumerate() {
            for (code, span) in &draft.allow {
                let written = (*file, span.start);
                if !draft.enabled || self.used.contains(&written) {
                    continue;
                }
                if let Some(later) = known.get(&written) {
                    if let Some(later) = later {
                        sharing[*later].2.push(place);
                    }
                    continue;
                }
                let fault = Fault::new(
                    Code::UnusedAllow,
                    span.clone(),
                    format!("nothing here needs {code} to be allowed"),
                )
                .help("remove it, so that the warning is seen when it is due");
                if *code == Code::SharedLine {
                    known.insert(written, Some(sharing.len()));
                    sharing.push((*file, fault, vec![place]));
                } else {
                    known.insert(written, None);
                    files[*file].push(fault);
                }
            }
        }
        sharing
    }
}

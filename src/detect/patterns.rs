//! Templates of lines: `user <*> failed` is what `user alice failed` and `user bob failed` have in common.
//!
//! After Drain (He, Zhu, Zheng, Lyu: "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017): lines are told
//! apart by how many words they have, then by the word that they begin with, and within such a group a line belongs to the
//! template that is like it in enough words; where they differ, the template becomes `<*>`. What differs in this version:
//!
//! - What varies by its looks (numbers, times, addresses, ids, quoted words, values of `name=value`) is left out beforehand
//!   and speaks neither for nor against likeness, so that lines of many numbers are not alike for that alone.
//! - A JSON or logfmt line is its message, followed by its error where it has one.
//! - A group of [`GROUP_MAX`] templates takes in no further: what has so many kinds is one with a variable.
//! - Everything is bounded; beyond the bounds the template unseen for longest goes.
//!
//! Two kinds of lines that differ in one word out of three or more become one template: that is what finding variables
//! without being told means. Words of one line are compared by place, so a message with a list in it has a template for
//! each length of the list.

mod mask;

use std::cmp::Reverse;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::time::Timestamp;
use mask::{Masked, VARYING, is_word};

/// Most templates of one [`Templates`]. A program's source has some hundred messages, those of one rule fewer.
const TEMPLATES_MAX: usize = 256;

/// Most bytes of all their texts: 128 for each, twice a usual line.
const TEXT_BYTES_MAX: usize = 32 * 1024;

/// Most first words among lines of one length. Programs begin their messages with few words; more of them are names.
const LEADS_MAX: usize = 32;

/// Most templates that agree in length and first word.
const GROUP_MAX: usize = 16;

/// The share of words that must be equal for a line to be of a template: of three one may differ, of two none.
const EQUAL_SHARE: (u32, u32) = (3, 5);

/// Stands for a word that differed among the lines of a template. No line brings it.
const DIFFERING: &str = "\u{1}";

/// Identifies a template: a hash of its first line, which stays while the template becomes more general.
///
/// Unique within one [`Templates`], and equal in every one that began with an equal line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateId(pub u64);

/// The templates of the lines seen so far.
///
/// The same lines in the same order give the same templates; another order may give others, so entries of one
/// time are to be learned in order of label set and line.
///
/// Memory: at most 256 templates and 32 KiB of text, 48 KiB together; a usual one takes 100 to 150 bytes. Beyond that the template
/// that was not seen for longest is forgotten, and is new when it comes again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Templates {
    /// In order of group, then id.
    templates: Vec<Template>,
}

/// What a line taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// The line's template.
    pub template: TemplateId,
    /// The time of the template's oldest line since it has been known.
    pub first_seen: Timestamp,
    /// Whether this line is its first.
    pub is_new: bool,
    /// How many templates had to be forgotten for it.
    pub evicted: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Template {
    group: Group,
    id: TemplateId,
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// Whether it was made more general than [`EQUAL_SHARE`] allows, its group being full.
    is_loose: bool,
    /// Words with one blank between each.
    text: Box<str>,
}

/// Lines of one length and first word: the path to a leaf of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
struct Group(u32);

impl Templates {
    /// Finds the template of `line` of the time `at`, or makes one.
    ///
    /// Lines may come late: a template's times are those of its oldest and newest line.
    /// Cost: one pass over the line's first 2 KiB and one over the templates of its group; for a new template, over all.
    pub fn learn(&mut self, line: &[u8], at: Timestamp) -> Learned {
        let Masked { text, tokens, lead } = mask::mask(line);
        let leadless = if lead.is_empty() {
            text.clone()
        } else {
            [&text[..lead.start], VARYING, &text[lead.end..]].concat()
        };
        let shared = Group::new(tokens, "");
        let own = Group::new(tokens, &text[lead]);

        let fits = |template: &Template, likeness: Likeness| template.takes(likeness);
        let known = self
            .best(own, &text, fits)
            .max(self.best(shared, &leadless, fits));
        if let Some(best) = known {
            let text = if self.templates[best.place].group == own {
                &text
            } else {
                &leadless
            };
            return self.found(best.place, text, at);
        }

        let (group, text) = if self.members(own).is_empty() && self.leads(tokens) >= LEADS_MAX {
            (shared, leadless)
        } else {
            (own, text)
        };
        if self.members(group).len() >= GROUP_MAX {
            let alike = |_: &Template, likeness: Likeness| likeness.equal > 0;
            if let Some(best) = self.best(group, &text, alike) {
                self.templates[best.place].is_loose = true;
                return self.found(best.place, &text, at);
            }
        }
        self.create(group, text, at)
    }

    /// What the lines of a template have in common, `<*>` where they vary; `None` when it was forgotten.
    /// Cost: linear in the number of templates.
    #[must_use]
    pub fn text(&self, id: TemplateId) -> Option<String> {
        let template = self.templates.iter().find(|template| template.id == id)?;
        Some(
            template
                .text
                .replace(VARYING, "<*>")
                .replace(DIFFERING, "<*>"),
        )
    }

    /// How many templates there are, at most 256.
    #[must_use]
    pub fn len(&self) -> usize {
        self.templates.len()
    }

    /// Whether nothing was learned yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    /// How much memory it takes, itself included, without what the allocator adds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.templates.capacity() * size_of::<Template>() + self.text_bytes()
    }

    fn text_bytes(&self) -> usize {
        self.templates
            .iter()
            .map(|template| template.text.len())
            .sum()
    }

    /// The places of the templates of `group`.
    fn members(&self, group: Group) -> Range<usize> {
        let start = self
            .templates
            .partition_point(|template| template.group < group);
        let length = self.templates[start..].partition_point(|template| template.group == group);
        start..start + length
    }

    /// How many first words there are among lines of so many words.
    fn leads(&self, tokens: usize) -> usize {
        let shared = Group::new(tokens, "");
        let start = self
            .templates
            .partition_point(|template| template.group <= shared);
        self.templates[start..]
            .chunk_by(|a, b| a.group == b.group)
            .take_while(|members| members[0].group.tokens() == tokens)
            .count()
    }

    /// The template of `group` that is most like a line of the words `text`, among those that `may` be it.
    fn best(
        &self,
        group: Group,
        text: &str,
        may: impl Fn(&Template, Likeness) -> bool,
    ) -> Option<Best> {
        self.members(group)
            .filter_map(|place| {
                let template = &self.templates[place];
                let likeness = Likeness::between(&template.text, text);
                may(template, likeness).then(|| Best {
                    share: likeness.share(),
                    unchanged: Reverse(likeness.changes),
                    first: Reverse(template.id),
                    place,
                })
            })
            .max()
    }

    /// A line of the words `text` belongs to the template at `place`.
    fn found(&mut self, place: usize, text: &str, at: Timestamp) -> Learned {
        let template = &mut self.templates[place];
        if *template.text != *text {
            template.text = common(&template.text, text).into();
        }
        template.first_seen = template.first_seen.min(at);
        template.last_seen = template.last_seen.max(at);
        Learned {
            template: template.id,
            first_seen: template.first_seen,
            is_new: false,
            evicted: 0,
        }
    }

    fn create(&mut self, group: Group, text: String, at: Timestamp) -> Learned {
        let before = self.len();
        while self.len() >= TEMPLATES_MAX || self.text_bytes() + text.len() > TEXT_BYTES_MAX {
            let unseen =
                |place: &usize| (self.templates[*place].last_seen, self.templates[*place].id);
            let Some(longest) = (0..self.len()).min_by_key(unseen) else {
                break;
            };
            self.templates.remove(longest);
        }
        let evicted = before - self.len();
        let id = TemplateId(xxh3_64_with_seed(text.as_bytes(), group.0.into()));
        let place = self
            .templates
            .partition_point(|template| (template.group, template.id) < (group, id));
        let template = Template {
            group,
            id,
            first_seen: at,
            last_seen: at,
            is_loose: false,
            text: text.into(),
        };
        self.templates.insert(place, template);
        Learned {
            template: id,
            first_seen: at,
            is_new: true,
            evicted,
        }
    }
}

impl Template {
    /// Whether a line that is so much like it is one of its own.
    fn takes(&self, likeness: Likeness) -> bool {
        let Likeness {
            equal,
            differing,
            changes,
        } = likeness;
        let (part, whole) = EQUAL_SHARE;
        // A loose template takes what it covers, and no line makes it more general but where the group is full again:
        // so its first line is always its own, as it is with the others, and no two templates have one id.
        if self.is_loose {
            changes == 0
        } else {
            equal * whole >= (equal + differing) * part
        }
    }
}

impl Group {
    /// Lines of so many words that begin with `lead`; `""` for those whose first word is left out.
    fn new(tokens: usize, lead: &str) -> Self {
        let hash = match lead {
            "" => 0,
            _ => (xxh3_64(lead.as_bytes()) as u32 & Self::LEAD).max(1),
        };
        Self((tokens as u32) << Self::LEAD.count_ones() | hash)
    }

    /// The bits of the first word's hash. Two words that share one make a larger group, nothing worse.
    const LEAD: u32 = 0xff_ffff;

    fn tokens(self) -> usize {
        (self.0 >> Self::LEAD.count_ones()) as usize
    }
}

/// How much a line is like a template of as many words.
#[derive(Debug, Clone, Copy)]
struct Likeness {
    /// Words that are equal and say something.
    equal: u32,
    /// Words that differ, now or among the template's lines before.
    differing: u32,
    /// Words that differ now for the first time.
    changes: u32,
}

impl Likeness {
    fn between(template: &str, line: &str) -> Self {
        let mut likeness = Self {
            equal: 0,
            differing: 0,
            changes: 0,
        };
        for (old, new) in template.split(' ').zip(line.split(' ')) {
            if old == DIFFERING {
                likeness.differing += 1;
            } else if old != new {
                likeness.differing += 1;
                likeness.changes += 1;
            } else if is_word(old) {
                likeness.equal += 1;
            }
        }
        likeness
    }

    /// The share of equal words, in 65536ths. Lines without words that are equal are wholly so.
    fn share(self) -> u32 {
        match self.equal + self.differing {
            0 => 1 << 16,
            words => (self.equal << 16) / words,
        }
    }
}

/// A template found for a line, the best one last.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Best {
    share: u32,
    unchanged: Reverse<u32>,
    first: Reverse<TemplateId>,
    place: usize,
}

/// What a template and a line of as many words have in common.
fn common(template: &str, line: &str) -> String {
    let mut text = String::with_capacity(template.len());
    for (old, new) in template.split(' ').zip(line.split(' ')) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(if old == new { old } else { DIFFERING });
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_parts(1_000_000 + seconds, 0)
    }

    /// Learns `lines` a second apart.
    fn learned<'a>(lines: impl IntoIterator<Item = &'a str>) -> (Templates, Vec<Learned>) {
        let mut templates = Templates::default();
        let learned = (0..)
            .zip(lines)
            .map(|(second, line)| templates.learn(line.as_bytes(), at(second)))
            .collect();
        (templates, learned)
    }

    /// The templates of `lines` after all of them, line by line.
    fn texts<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let (templates, learned) = learned(lines);
        let text = |learned: &Learned| templates.text(learned.template).unwrap_or_default();
        learned.iter().map(text).collect()
    }

    /// Words without digits that all differ.
    fn name(n: usize) -> String {
        let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
        format!("{}{}{}", letter(n / 676), letter(n / 26), letter(n))
    }

    #[test]
    fn lines_that_differ_in_a_name_are_one_template_and_its_id_is_that_of_the_first() {
        let (templates, learned) = learned([
            "user alice failed",
            "user bob failed",
            "GET /api/v1 200",
            "user carol failed",
        ]);
        let first = learned[0];
        assert!(first.is_new && learned[2].is_new && !learned[1].is_new && !learned[3].is_new);
        assert_eq!(learned[3].template, first.template);
        assert_eq!(learned[3].first_seen, at(0));
        assert_eq!(learned[2].first_seen, at(2));
        assert_eq!(
            templates.text(first.template).as_deref(),
            Some("user <*> failed")
        );
        assert_eq!(
            templates.text(learned[2].template).as_deref(),
            Some("GET /api/<*> <*>")
        );
        assert_eq!(templates.text(TemplateId(0)), None);
        assert_eq!(templates.len(), 2);
    }

    #[test]
    fn three_of_five_words_must_be_equal_and_numbers_speak_neither_way() {
        for (a, b, common) in [
            ("disk full", "disk slow", None),
            (
                "user alice failed",
                "user bob failed",
                Some("user <*> failed"),
            ),
            ("user alice failed", "user bob won", None),
            ("a b c d e", "a x c y e", Some("a <*> c <*> e")),
            ("a b c d e", "a x c y z", None),
            ("10:00 1 2 3 disk full", "10:01 2 2 4 disk slow", None),
            ("10:00 disk full", "11:11 disk full", Some("<*> disk full")),
            // What is a number here and a word there differs.
            (
                "copy 7 of disk",
                "copy all of disk",
                Some("copy <*> of disk"),
            ),
            ("copy 7", "copy all", None),
        ] {
            let found = texts([a, b]);
            let expected = common.map(|common| vec![common.to_owned(); 2]);
            assert_eq!(
                Some(&found).filter(|found| found[0] == found[1]),
                expected.as_ref(),
                "{a}"
            );
        }
    }

    #[test]
    fn other_lengths_and_other_first_words_are_other_templates() {
        assert_eq!(
            texts([
                "Failed password for root from 10.0.0.9",
                "Accepted password for root from 10.0.0.9",
                "Failed password for root from 10.0.0.9 port 22",
                "ERROR Failed password for root from 10.0.0.9",
                "ERROR Accepted password for root from 10.0.0.9",
            ]),
            [
                "Failed password for root from <*>",
                "Accepted password for root from <*>",
                "Failed password for root from <*> port <*>",
                "ERROR Failed password for root from <*>",
                "ERROR Accepted password for root from <*>",
            ]
        );
    }

    #[test]
    fn of_several_templates_the_most_alike_takes_a_line() {
        let (templates, learned) = learned([
            "job one of alpha has ended in error today",
            "job one of beta was killed by somebody else",
            "job two of beta was killed by somebody new",
        ]);
        assert_eq!(learned[2].template, learned[1].template);
        assert_eq!(
            templates.text(learned[1].template).as_deref(),
            Some("job <*> of beta was killed by somebody <*>")
        );
    }

    #[test]
    fn a_late_line_moves_the_first_time_down_and_not_the_last() {
        let mut templates = Templates::default();
        templates.learn(b"disk full", at(100));
        let late = templates.learn(b"disk full", at(50));
        assert_eq!((late.first_seen, late.is_new), (at(50), false));
        assert_eq!(templates.learn(b"disk full", at(70)).first_seen, at(50));
        assert_eq!(templates.templates[0].last_seen, at(100));
    }

    #[test]
    fn the_257th_template_takes_the_place_of_the_one_unseen_for_longest() {
        // Lengths and words of their own: nothing is alike.
        let line = |n: usize| vec![name(n); n % 60 + 1].join(" ");
        let mut templates = Templates::default();
        for n in 0..256 {
            let learned = templates.learn(line(n).as_bytes(), at(n as i64));
            assert!(learned.is_new && learned.evicted == 0 && templates.len() == n + 1);
        }
        let oldest = templates.learn(line(0).as_bytes(), at(300)).template;
        let second = templates.learn(line(1).as_bytes(), at(1)).template;
        let new = templates.learn(line(256).as_bytes(), at(301));
        assert_eq!((new.is_new, new.evicted, templates.len()), (true, 1, 256));
        assert!(templates.text(oldest).is_some(), "seen again since");
        assert_eq!(templates.text(second), None);
        // It comes again under its own id, and is new again.
        let again = templates.learn(line(1).as_bytes(), at(302));
        assert_eq!(
            (again.template, again.is_new, again.first_seen),
            (second, true, at(302))
        );
    }

    #[test]
    fn texts_take_32_kib_together() {
        // Words of 32 bytes, as many as the 2048 bytes of a line that are looked at hold: 16 such lines have room.
        let line = |n: usize| vec!["x".repeat(29) + &name(n); 64].join(" ");
        let mut templates = Templates::default();
        for n in 0..16 {
            assert_eq!(templates.learn(line(n).as_bytes(), at(n as i64)).evicted, 0);
        }
        assert_eq!(templates.text_bytes(), TEXT_BYTES_MAX);
        let short = templates.learn(b"disk full", at(16));
        assert_eq!((short.evicted, templates.len()), (1, 16));
        let long = templates.learn(line(17).as_bytes(), at(17));
        assert_eq!((long.evicted, templates.len()), (1, 16));
        assert!(templates.text(short.template).is_some());
    }

    #[test]
    fn more_first_words_than_a_program_has_are_a_variable() {
        let names: Vec<_> = (0..40).map(|n| format!("{} logged in", name(n))).collect();
        let texts = texts(names.iter().map(String::as_str));
        assert_eq!(texts[31], format!("{} logged in", name(31)));
        assert_eq!(texts[32..], vec!["<*> logged in"; 8]);
        // Of another length there is room again.
        let (mut templates, _) = learned(names.iter().map(String::as_str));
        let new = templates.learn(b"disk full", at(100));
        assert_eq!(templates.text(new.template).as_deref(), Some("disk full"));
    }

    #[test]
    fn a_17th_kind_of_one_length_and_first_word_is_a_variable() {
        let names: Vec<_> = (0..40).map(|n| format!("Deleted {}", name(n))).collect();
        let (templates, learned) = learned(names.iter().map(String::as_str));
        assert_eq!(templates.len(), 16);
        assert!(learned[..16].iter().all(|learned| learned.is_new));
        assert!(learned[16..].iter().all(|learned| !learned.is_new));
        let loose = learned[16].template;
        assert!(
            learned[17..]
                .iter()
                .all(|learned| learned.template == loose)
        );
        assert_eq!(templates.text(loose).as_deref(), Some("Deleted <*>"));
        assert_eq!(
            templates.text(learned[3].template).as_deref(),
            Some("Deleted aad")
        );
    }

    #[test]
    fn lines_without_words_are_templates_too() {
        assert_eq!(
            texts(["", " ", "17", "-5.5", "--", "[1]"]),
            ["", "", "<*>", "<*>", "--", "[<*>]"]
        );
    }

    #[test]
    fn what_is_stored_is_little_more_than_the_texts() {
        let lines: Vec<_> = (0..16)
            .map(|n| format!("cannot reach {} at 10.0.0.{n}", name(n)))
            .collect();
        let mut templates = Templates::default();
        for (line, tail) in lines
            .iter()
            .zip(["", " now", " or x", " was y down"].iter().cycle())
        {
            templates.learn(format!("{line}{tail}").as_bytes(), at(0));
        }
        let stored = postcard::to_stdvec(&templates).expect("plain values");
        let text = templates.text_bytes();
        // Two times and an id of up to ten bytes each, a group of five, a flag, a length.
        assert!(
            stored.len() <= text + 38 * templates.len() + 1,
            "{} for {text}",
            stored.len()
        );
        assert_eq!(
            postcard::from_bytes::<Templates>(&stored).expect("just written"),
            templates
        );
    }

    /// Lines of few words, so that many are alike, or of many, so that bounds are reached.
    fn lines() -> impl Strategy<Value = Vec<String>> {
        let words = |vocabulary: usize, length: usize| {
            prop::collection::vec(0..vocabulary, 0..length)
                .prop_map(|words| words.into_iter().map(name).collect::<Vec<_>>().join(" "))
        };
        let line = prop_oneof![
            words(4, 7),
            words(60, 4),
            (0usize..20_000).prop_map(|n| format!("{} {}", name(n / 9), name(n % 9))),
            "[a-b0-1 \"=:{},]{0,20}",
        ];
        prop::collection::vec(line, 0..600)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn bounds_hold_and_ids_are_unique_whatever_comes(lines in lines(), back in prop::collection::vec(-50i64..50, 600)) {
            let mut templates = Templates::default();
            let mut ids = BTreeSet::new();
            for (n, line) in lines.iter().enumerate() {
                let before = templates.len();
                let learned = templates.learn(line.as_bytes(), at(n as i64 + back[n]));
                prop_assert_eq!(templates.len() + learned.evicted, before + usize::from(learned.is_new));
                prop_assert!(templates.len() <= TEMPLATES_MAX && templates.text_bytes() <= TEXT_BYTES_MAX);
                prop_assert!(templates.memory_bytes() <= 48 * 1024);
                ids.insert(learned.template);

                // The same line again is the same template, and changes nothing but times.
                let again = templates.learn(line.as_bytes(), at(n as i64));
                prop_assert_eq!((again.template, again.is_new), (learned.template, false), "{}", line);
            }
            let alive: BTreeSet<_> = templates.templates.iter().map(|template| template.id).collect();
            prop_assert_eq!(alive.len(), templates.len());
            prop_assert!(alive.is_subset(&ids));
            prop_assert!(templates.templates.is_sorted_by_key(|template| (template.group, template.id)));
        }

        #[test]
        fn the_same_lines_give_the_same_state_also_over_restarts(lines in lines(), stops in prop::collection::btree_set(0usize..600, 0..5)) {
            let (mut whole, mut stopped) = (Templates::default(), Templates::default());
            for (n, line) in lines.iter().enumerate() {
                let time = at(n as i64);
                prop_assert_eq!(whole.learn(line.as_bytes(), time), stopped.learn(line.as_bytes(), time));
                if stops.contains(&n) {
                    let stored = postcard::to_stdvec(&stopped).expect("plain values");
                    stopped = postcard::from_bytes(&stored).expect("just written");
                }
            }
            prop_assert_eq!(whole, stopped);
        }

        #[test]
        fn lines_of_known_kinds_are_told_apart_exactly(
            kinds in prop::collection::vec((1usize..10, 0usize..7, any::<u64>()), 1..20),
            lines in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 1..200),
        ) {
            // Words that no two kinds share, the first of them first; what varies is at most two words of five.
            let kinds: Vec<Vec<Option<String>>> = kinds.iter().enumerate().map(|(kind, (fixed, varying, places))| {
                let word = |n: usize| Some(format!("{}{}", name(1000 + kind), name(n)));
                let mut words: Vec<_> = (0..*fixed).map(word).collect();
                for n in 0..*varying.min(&(fixed * 2 / 3)) {
                    words.insert(1 + (places >> (n * 8)) as usize % words.len(), None);
                }
                words
            }).collect();
            let mut templates = Templates::default();
            let mut seen: BTreeMap<usize, TemplateId> = BTreeMap::new();
            for (n, (kind, seed)) in lines.iter().enumerate() {
                let kind = kind.index(kinds.len());
                let word = |(n, word): (usize, &Option<String>)| match word {
                    Some(word) => word.clone(),
                    None => parameter(seed.rotate_left(n as u32 * 7)),
                };
                let line: Vec<_> = kinds[kind].iter().enumerate().map(word).collect();
                let learned = templates.learn(line.join(" ").as_bytes(), at(n as i64));
                prop_assert_eq!(learned.is_new, !seen.contains_key(&kind));
                prop_assert_eq!(*seen.entry(kind).or_insert(learned.template), learned.template);
            }
            let ids: BTreeSet<_> = seen.values().collect();
            prop_assert_eq!((ids.len(), templates.len()), (seen.len(), seen.len()));
        }
    }

    /// Something that varies in logs.
    fn parameter(seed: u64) -> String {
        let rest = seed / 8;
        match seed % 8 {
            0 => rest.to_string(),
            1 => format!("10.{}.0.{}:{}", rest % 256, rest / 256 % 256, rest % 60_000),
            2 => format!("{rest:016x}7"),
            3 => format!("\"{}\"", name(rest as usize % 17_576)),
            4 => format!("{:08x}-beef-4abc-9def-{:012x}", rest as u32, rest >> 16),
            5 => format!("2026-01-31T10:{:02}:00.{}Z", rest % 60, rest % 1000),
            _ => name(rest as usize % 17_576),
        }
    }
}

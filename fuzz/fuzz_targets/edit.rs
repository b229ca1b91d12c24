//! Any change of any rule file is refused, or makes a file that says what was asked; every other byte of it is as it was.
//!
//! An input is a rule's id, a key and its value, each in a line, and the file. Without a value the key is taken away; without an id there is a
//! rule more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trommel::rules::edit::{Edit, Tree, edit, piece_of, place_of, unified};

/// What a new rule is called.
const NEW: &str = "fuzzed";

fuzz_target!(|input: &str| {
    let mut parts = input.splitn(4, '\n');
    let mut next = || parts.next().unwrap_or_default();
    let (rule, key, value, file) = (next().to_owned(), next().to_owned(), next(), next());
    let Ok(value) = Tree::read(value) else {
        return;
    };
    let given = Some(value).filter(|value| *value != Tree::Nothing);
    let change = match (rule.is_empty(), given.clone()) {
        (true, value) => Edit::Add(vec![
            ("id".to_owned(), Tree::Text(NEW.to_owned())),
            (key.clone(), value.unwrap_or(Tree::Nothing)),
        ]),
        (false, Some(value)) => Edit::Set {
            rule: rule.clone(),
            key: key.clone(),
            value,
        },
        (false, None) => Edit::Remove {
            rule: rule.clone(),
            key: key.clone(),
        },
    };
    let Ok(edited) = edit(file, &[change]) else {
        return;
    };
    let _ = unified("fuzz.yaml", Some(file), &edited);
    let id = if rule.is_empty() { NEW } else { &rule };
    let now = piece_of(&edited, id).expect("the rule can be read");
    let shown = now.tokens.iter().map(|token| &edited[token.span.clone()]);
    assert_eq!(shown.collect::<String>(), edited[now.lines]);
    let now = now.keys;
    if rule.is_empty() {
        let (before, gone, after) = different(file, &edited);
        // A list without rules is written anew.
        let nothing = gone.trim_matches(|c: char| c.is_whitespace() || "[]{}~".contains(c));
        assert!(
            matches!(nothing, "" | "null" | "Null" | "NULL"),
            "`{gone}` is gone between `{before}` and `{after}`"
        );
        return;
    }
    let was = piece_of(file, id).expect("it could be changed").keys;
    let others = |keys: &[(String, Tree)]| {
        let others = keys.iter().filter(|(name, _)| *name != key);
        Tree::Map(others.cloned().collect())
    };
    assert!(others(&now).says(&others(&was)));
    let found = now.iter().find(|(name, _)| *name == key);
    let says = match (&found, &given) {
        (Some((_, found)), Some(given)) => found.says(given),
        (None, None) => true,
        _ => false,
    };
    assert!(says, "{found:?} is not {given:?}");
    // What stands before the rule, and below its last line.
    let place = place_of(file, id).expect("it could be changed");
    let below = file[place.end..]
        .find('\n')
        .map_or("", |end| &file[place.end + end..]);
    assert!(edited.starts_with(&file[..place.start]), "{edited}");
    assert!(edited.ends_with(below), "{edited}");
});

/// What two texts begin with both, what only `old` has then, and what both end with.
fn different<'t>(old: &'t str, new: &str) -> (&'t str, &'t str, &'t str) {
    let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b);
    let begin: usize = same.map(|(c, _)| c.len_utf8()).sum();
    let (old_rest, new_rest) = (&old[begin..], &new[begin..]);
    let same = old_rest.chars().rev().zip(new_rest.chars().rev());
    let end: usize = same
        .take_while(|(a, b)| a == b)
        .map(|(c, _)| c.len_utf8())
        .sum();
    let end = old.len() - end;
    (&old[..begin], &old[begin..end], &old[end..])
}

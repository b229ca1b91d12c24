//! What the rules cost on every line, whatever it says.

use trommel::scan::Scanner;

use super::pack;

/// The sweep takes strides of six bytes while each text that it looks for has eleven; one shorter text, whosever it is, narrows them to
/// four, and all lines take a fifth longer.
const SHORTEST: usize = 11;

#[test]
fn no_text_of_the_pack_narrows_the_stride() {
    let rules = pack::rules();
    let scanner = Scanner::new(rules.clone());
    let short: Vec<_> = (rules.rules.iter().zip(scanner.literals()))
        .flat_map(|(rule, literals)| literals.into_iter().map(|literal| (&*rule.id, literal)))
        .filter(|(_, literal)| literal.len() < SHORTEST)
        .map(|(rule, literal)| format!("{rule} looks for {:?}", String::from_utf8_lossy(literal)))
        .collect();
    assert!(short.is_empty(), "{short:#?}");
}

//! Which grams of its literals a search knows.
//!
//! Of each literal one gram is entered for each remainder that its offset leaves by the stride; among offsets with one remainder there
//! is a choice. Ordinary text should have few of the grams, since each that it has is looked at again. And they should be few: literals share
//! them where they can, so that the tables are small and stay in the caches. A literal that shares a gram costs something only in
//! text that has it, one with a gram of its own costs a little everywhere.
//!
//! The shipped rules' 2 900 literals have 6 200 grams that way, not 11 600 as by rarity alone, and half as much ordinary text is looked up;
//! 5 000 rules have 660, not 1 800, and hardly any ordinary text has one (2026-11-29).

use rustc_hash::FxHashMap;

use super::literals::Literal;
use super::ordinary::Expected;
use super::search::number;

/// Which two bytes tell more about a gram than it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    Behind,
    Before,
}

/// What it costs that text has a gram and the byte behind it once on a page like [`super::ordinary`]'s, in the unit of a gram of its own.
const LOOKED_AT_AGAIN: f32 = 4.0;
/// The same, if it has the two bytes around it as well.
const LOOKED_UP: f32 = 16.0;
/// What it costs that no byte is behind a gram: it is taken for all that could be there.
const LAST: f32 = 2.0;

/// So many that a gram is entered already.
const ENTERED: u32 = u32::MAX;

/// For each of `literals` the offsets of its grams of `gram` bytes, one for each remainder by `stride`, and what to ask of the bytes
/// around each. Those are in the literal if it has `gram + 4` bytes. Takes some microseconds for each literal.
///
/// # Panics
/// If a literal has fewer than `gram + stride - 1` bytes, or `gram` is less than four.
pub(super) fn chosen(
    literals: &[Literal],
    gram: usize,
    stride: usize,
) -> Vec<Vec<(usize, Around)>> {
    // How many could share each gram; those that are entered are for nothing.
    let mut sharing: FxHashMap<u64, u32> = FxHashMap::default();
    for literal in literals {
        for gram in literal.bytes.windows(gram) {
            *sharing.entry(number(gram)).or_default() += 1;
        }
    }
    // Those with the least choice first.
    let mut order: Vec<usize> = (0..literals.len()).collect();
    order.sort_by_key(|&literal| literals[literal].bytes.len());
    let mut chosen = vec![Vec::new(); literals.len()];
    for literal in order {
        let bytes = &literals[literal].bytes;
        let expected = Expected::of(bytes);
        for remainder in 0..stride {
            let offsets = (remainder..=bytes.len() - gram).step_by(stride);
            let offered = offsets.map(|offset| {
                let its_gram = number(&bytes[offset..offset + gram]);
                let (cost, around) = in_text(&expected, bytes.len(), offset, gram);
                let entered = match sharing[&its_gram] {
                    ENTERED => 0.0,
                    sharing => 1.0 / sharing as f32,
                };
                (cost + entered, offset, around, its_gram)
            });
            let (_, offset, around, its_gram) = offered
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .expect("a literal has a gram at each remainder");
            sharing.insert(its_gram, ENTERED);
            chosen[literal].push((offset, around));
        }
    }
    chosen
}

/// What ordinary text makes the gram at `offset` of a literal of `len` bytes cost, and what to ask of the bytes around it.
fn in_text(expected: &Expected, len: usize, offset: usize, gram: usize) -> (f32, Around) {
    let end = offset + gram;
    let behind = (end + 2 <= len).then(|| expected.times(offset..end + 2));
    let before = offset
        .checked_sub(2)
        .map(|start| expected.times(start..end));
    let (around, looked_up) = match (behind, before) {
        (Some(behind), Some(before)) if before < behind => (Around::Before, before),
        (None, Some(before)) => (Around::Before, before),
        (Some(behind), _) => (Around::Behind, behind),
        (None, None) => (Around::Behind, expected.times(offset..end)),
    };
    let is_last = end == len;
    let again = expected.times(offset..end + usize::from(!is_last));
    let cost = LOOKED_AT_AGAIN * again + LOOKED_UP * looked_up;
    (cost + if is_last { LAST } else { 0.0 }, around)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals<const N: usize>(texts: [&str; N]) -> Vec<Literal> {
        let literal = |text: &str| Literal {
            bytes: text.as_bytes().into(),
            ignore_case: false,
        };
        texts.map(literal).into()
    }

    /// The grams chosen, in the order of their literals.
    fn grams(literals: &[Literal], gram: usize, stride: usize) -> Vec<String> {
        let chosen = chosen(literals, gram, stride);
        let of_literal = literals.iter().zip(chosen).flat_map(|(literal, chosen)| {
            let of_chosen =
                move |(offset, _): (usize, Around)| &literal.bytes[offset..offset + gram];
            chosen.into_iter().map(of_chosen)
        });
        of_literal
            .map(|gram| String::from_utf8_lossy(gram).to_lowercase())
            .collect()
    }

    #[test]
    fn each_remainder_has_a_gram_that_ordinary_text_has_least() {
        let literals = literals(["level=info zqxjvkwy", "zqxjvkwy level=info"]);
        let offsets = |of_literal: &Vec<(usize, Around)>| -> Vec<usize> {
            let mut offsets: Vec<_> = of_literal.iter().map(|(offset, _)| *offset).collect();
            offsets.sort_unstable();
            offsets
        };
        let chosen = chosen(&literals, 4, 3);
        assert_eq!(offsets(&chosen[0]), [11, 12, 13]);
        assert_eq!(offsets(&chosen[1]), [0, 1, 2]);
    }

    #[test]
    fn literals_share_grams_in_whatever_case_and_wherever_they_lie() {
        let literals = literals(["zqxjvk", "wvu yZQXJVK.", "zqxjvk wvu"]);
        let mut shared = grams(&literals, 4, 3);
        shared.sort_unstable();
        assert_eq!(
            shared,
            [
                "qxjv", "qxjv", "qxjv", "xjvk", "xjvk", "xjvk", "zqxj", "zqxj", "zqxj"
            ]
        );
    }

    #[test]
    fn what_ordinary_text_has_less_of_is_asked_about_around_a_gram() {
        let around = |text: &str, offset| {
            let expected = Expected::of(text.as_bytes());
            in_text(&expected, text.len(), offset, 4).1
        };
        assert_eq!(around("zqinfo m", 2), Around::Before);
        assert_eq!(around("l=infozq", 2), Around::Behind);
        // Where there are no two bytes on one side, those of the other are asked about.
        assert_eq!(around("=infozq", 3), Around::Before);
        assert_eq!(around("info=zq", 0), Around::Behind);
    }
}

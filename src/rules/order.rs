//! What comes before what, where things name each other: an order, or the circles that forbid one.

/// The order of things that name each other.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Places, each after those that it names; without those in a circle, or that lead to one.
    pub(super) places: Vec<usize>,
    /// For each thing the longest chain of names below it.
    pub(super) depth: Vec<usize>,
    /// Circles: places that name the next one, the last the first. Each once.
    pub(super) cycles: Vec<Vec<usize>>,
}

impl Order {
    /// Orders things, of which each names others by their places. Linear in the number of names.
    pub(super) fn of(named: &[Vec<usize>]) -> Self {
        let mut named_by = vec![Vec::new(); named.len()];
        for (place, others) in named.iter().enumerate() {
            for &other in others {
                named_by[other].push(place);
            }
        }
        let mut waits: Vec<usize> = named.iter().map(Vec::len).collect();
        let mut depth = vec![0; named.len()];
        let mut places: Vec<usize> = (0..named.len())
            .filter(|&place| waits[place] == 0)
            .collect();
        let mut next = 0;
        while let Some(&place) = places.get(next) {
            next += 1;
            for &above in &named_by[place] {
                depth[above] = depth[above].max(depth[place] + 1);
                waits[above] -= 1;
                if waits[above] == 0 {
                    places.push(above);
                }
            }
        }
        Self {
            places,
            depth,
            cycles: cycles(named, &waits),
        }
    }
}

/// Things that still wait for others are in a circle, or lead to one: following any of them ends in it.
fn cycles(named: &[Vec<usize>], waits: &[usize]) -> Vec<Vec<usize>> {
    let next = |place: usize| {
        let mut others = named[place].iter();
        *others
            .find(|&&other| waits[other] > 0)
            .expect("what waits names something that waits")
    };
    let mut cycles = Vec::new();
    let mut seen = vec![usize::MAX; named.len()];
    for start in (0..named.len()).filter(|&place| waits[place] > 0) {
        let mut place = start;
        while seen[place] == usize::MAX {
            seen[place] = start;
            place = next(place);
        }
        if seen[place] != start {
            continue;
        }
        let mut cycle = vec![place];
        let mut at = next(place);
        while at != place {
            cycle.push(at);
            at = next(at);
        }
        cycles.push(cycle);
    }
    cycles
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_named_comes_first_and_a_circle_is_found_once() {
        let order = Order::of(&[vec![1, 2], vec![2], vec![]]);
        assert_eq!(order.places, [2, 1, 0]);
        assert_eq!(order.depth, [2, 1, 0]);
        assert!(order.cycles.is_empty());
        // 3 leads to the circle of 0, 1 and 2; 4 names itself.
        let order = Order::of(&[vec![1], vec![2], vec![0], vec![0], vec![4], vec![]]);
        assert_eq!(order.places, [5]);
        assert_eq!(order.cycles, [vec![0, 1, 2], vec![4]]);
    }

    proptest! {
        #[test]
        fn everything_is_in_order_or_waits_for_a_circle(named in prop::collection::vec(prop::collection::vec(0usize..6, 0..3), 6)) {
            let order = Order::of(&named);
            for (rank, place) in order.places.iter().enumerate() {
                for other in &named[*place] {
                    prop_assert!(order.places[..rank].contains(other));
                }
            }
            prop_assert_eq!(order.cycles.is_empty(), order.places.len() == named.len());
            for cycle in &order.cycles {
                for (at, place) in cycle.iter().enumerate() {
                    prop_assert!(named[*place].contains(&cycle[(at + 1) % cycle.len()]));
                }
            }
        }
    }
}

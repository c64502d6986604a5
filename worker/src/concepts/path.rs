//! The shortest way between two concepts: both ends grow in turn until they meet. No IO: whoever asks looks up what
//! stands beside a concept.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::Error;

/// Neighbours of one concept that are looked at: those that stand beside it most often.
pub(super) const NEIGHBOURS_LOOKED_AT: usize = 500;
/// Chunks of one concept whose other concepts are looked at.
pub(super) const CHUNKS_LOOKED_AT: usize = 2_000;
/// Concepts that are looked at in all.
pub(super) const LOOKED_AT_MAX: usize = 20_000;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn<K> {
    /// Look up what stands beside this one, and say so.
    LookBeside(K),
    /// This is the way, both ends included.
    Found(Vec<K>),
    /// There is none.
    None,
}

/// One end: what was reached from it, each with whom it was reached from.
#[derive(Debug)]
struct End<K> {
    reached: BTreeMap<K, Option<K>>,
    /// What was reached last and is not looked beside yet, the first of it at the end.
    front: Vec<K>,
    /// What was reached from the front.
    next: Vec<K>,
    /// Levels that were looked at to their end.
    steps: u8,
}

impl<K: Ord + Clone> End<K> {
    fn at(start: K) -> Self {
        Self {
            reached: BTreeMap::from([(start.clone(), None)]),
            front: vec![start],
            next: Vec::new(),
            steps: 0,
        }
    }

    /// From the end's start to `to`.
    fn way_to(&self, to: &K) -> Vec<K> {
        let mut way = vec![to.clone()];
        let mut at = to;
        while let Some(Some(before)) = self.reached.get(at) {
            way.push(before.clone());
            at = before;
        }
        way.reverse();
        way
    }
}

/// A search that goes on.
#[derive(Debug)]
pub(super) struct Search<K> {
    ends: [End<K>; 2],
    /// Which end grows, while one does.
    growing: Option<usize>,
    steps_max: u8,
    looked_at: usize,
    met: Option<K>,
}

impl<K: Ord + Clone> Search<K> {
    /// From one to the other in at most so many steps.
    pub fn new(from: K, to: K, steps_max: u8) -> Self {
        let met = (from == to).then(|| from.clone());
        Self { ends: [End::at(from), End::at(to)], growing: None, steps_max, looked_at: 0, met }
    }

    /// What comes next.
    ///
    /// # Errors
    /// Too much was looked at.
    pub fn turn(&mut self) -> Result<Turn<K>, Error> {
        loop {
            if let Some(met) = &self.met {
                let [from, to] = &self.ends;
                let mut way = from.way_to(met);
                way.extend(to.way_to(met).into_iter().rev().skip(1));
                return Ok(Turn::Found(way));
            }
            if self.looked_at > LOOKED_AT_MAX {
                return Err(Error::TooDeep);
            }
            let Some(growing) = self.growing else {
                match self.begin_level() {
                    true => continue,
                    false => return Ok(Turn::None),
                }
            };
            let end = &mut self.ends[growing];
            if let Some(next) = end.front.pop() {
                return Ok(Turn::LookBeside(next));
            }
            end.steps = end.steps.saturating_add(1);
            end.front = std::mem::take(&mut end.next);
            end.front.reverse();
            self.growing = None;
        }
    }

    /// The end with fewer to look beside grows by a level. False: they cannot meet any more.
    fn begin_level(&mut self) -> bool {
        let [from, to] = &self.ends;
        let is_far = from.steps.saturating_add(to.steps) >= self.steps_max;
        if is_far || from.front.is_empty() || to.front.is_empty() {
            return false;
        }
        self.growing = Some(usize::from(to.front.len() < from.front.len()));
        true
    }

    /// These stand beside that one.
    pub fn beside(&mut self, of: &K, neighbours: Vec<K>) {
        let Some(growing) = self.growing else { return };
        for neighbour in neighbours {
            self.looked_at += 1;
            let is_met = self.ends[1 - growing].reached.contains_key(&neighbour);
            let end = &mut self.ends[growing];
            if let Entry::Vacant(vacant) = end.reached.entry(neighbour.clone()) {
                vacant.insert(Some(of.clone()));
                if is_met {
                    self.met = Some(neighbour);
                    return;
                }
                end.next.push(neighbour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use proptest::prelude::*;

    use super::*;

    type Graph = BTreeMap<u32, BTreeSet<u32>>;

    fn graph(edges: &[(u32, u32)]) -> Graph {
        let mut graph = Graph::new();
        for (one, other) in edges.iter().filter(|(one, other)| one != other) {
            graph.entry(*one).or_default().insert(*other);
            graph.entry(*other).or_default().insert(*one);
        }
        graph
    }

    fn search(graph: &Graph, from: u32, to: u32, steps_max: u8) -> Result<Option<Vec<u32>>, Error> {
        let mut search = Search::new(from, to, steps_max);
        loop {
            match search.turn()? {
                Turn::LookBeside(of) => {
                    let beside = graph.get(&of).into_iter().flatten().copied().collect();
                    search.beside(&of, beside);
                }
                Turn::Found(way) => return Ok(Some(way)),
                Turn::None => return Ok(None),
            }
        }
    }

    /// Steps of the shortest way, found in the plainest manner.
    fn steps(graph: &Graph, from: u32, to: u32) -> Option<usize> {
        let (mut known, mut queue) = (BTreeSet::from([from]), VecDeque::from([(from, 0)]));
        while let Some((at, steps)) = queue.pop_front() {
            if at == to {
                return Some(steps);
            }
            for next in graph.get(&at).into_iter().flatten() {
                if known.insert(*next) {
                    queue.push_back((*next, steps + 1));
                }
            }
        }
        None
    }

    proptest! {
        #[test]
        fn the_way_is_a_shortest_one(
            edges in prop::collection::vec((0u32..14, 0u32..14), 0..30), from in 0u32..14, to in 0u32..14, most in 0u8..7,
        ) {
            let graph = graph(&edges);
            let found = search(&graph, from, to, most).unwrap();
            let shortest = steps(&graph, from, to).filter(|steps| *steps <= usize::from(most));
            prop_assert_eq!(found.as_ref().map(|way| way.len() - 1), shortest);
            if let Some(way) = found {
                prop_assert_eq!((way[0], way[way.len() - 1]), (from, to));
                prop_assert!(way.windows(2).all(|pair| graph[&pair[0]].contains(&pair[1])));
            }
        }
    }

    #[test]
    fn too_many_between_is_said() {
        // Two stars whose rims do not touch.
        let rim = LOOKED_AT_MAX as u32;
        let edges: Vec<_> = (2..rim).map(|n| (0, n)).chain((2..rim).map(|n| (1, rim + n))).collect();
        assert!(matches!(search(&graph(&edges), 0, 1, 6), Err(Error::TooDeep)));
    }
}

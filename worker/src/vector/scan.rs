//! The codes of one index, contiguous in memory, and the scan over them.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::dot::dot_codes_portable;
use super::quantize::quantize;
use super::signs::Signs;

/// Rows are padded with zeros to a multiple of this, so that the SIMD loop has no tail.
const LANES: usize = 64;
/// From this many rows on, signs choose which rows are scanned.
const CHOSEN_FROM: usize = 20_000;
/// Of so many rows one is scanned then: chosen so that of the ten nearest of real texts' vectors not
/// one in a hundred is missed (see the test of it).
const CHOSEN_ONE_IN: usize = 40;
/// Rows scanned then for each wanted, at least.
const CHOSEN_FOR_EACH: usize = 16;

/// int8 codes of vectors of one length, each under a key. Keys are unique; order means nothing.
#[derive(Debug, Clone)]
pub struct CodeSet {
    dimensions: usize,
    stride: usize,
    codes: Vec<i8>,
    signs: Signs,
    scales: Vec<f32>,
    ids: Vec<i64>,
    rows: HashMap<i64, usize>,
}

impl CodeSet {
    /// An empty set for vectors of this length.
    pub fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            stride: dimensions.next_multiple_of(LANES),
            codes: Vec::new(),
            signs: Signs::new(dimensions),
            scales: Vec::new(),
            ids: Vec::new(),
            rows: HashMap::new(),
        }
    }

    /// Length of the vectors.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True when there is no vector.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Bytes of memory held, about.
    pub fn bytes(&self) -> usize {
        let map_entry = size_of::<(i64, usize)>() + 1;
        self.codes.capacity()
            + self.signs.bytes()
            + self.scales.capacity() * size_of::<f32>()
            + self.ids.capacity() * size_of::<i64>()
            + self.rows.capacity() * map_entry
    }

    /// Makes room for this many more vectors.
    pub fn reserve(&mut self, additional: usize) {
        self.codes.reserve(additional * self.stride);
        self.signs.reserve(additional);
        self.scales.reserve(additional);
        self.ids.reserve(additional);
        self.rows.reserve(additional);
    }

    /// Whether there is a vector under this key.
    pub fn contains(&self, id: i64) -> bool {
        self.rows.contains_key(&id)
    }

    /// Adds a vector, or replaces the one under the same key.
    ///
    /// # Panics
    /// When the vector's length is not the set's: the caller mixes two indexes.
    pub fn push(&mut self, id: i64, vector: &[f32]) {
        let (codes, scale) = quantize(vector);
        self.push_codes(id, &codes, scale);
    }

    /// The same from codes that were stored.
    ///
    /// # Panics
    /// When the number of codes is not the set's dimensions.
    pub fn push_codes(&mut self, id: i64, codes: &[i8], scale: f32) {
        assert_eq!(codes.len(), self.dimensions, "vectors of one index have one length");
        let row = match self.rows.get(&id) {
            Some(&row) => row,
            None => {
                self.ids.push(id);
                self.scales.push(0.0);
                self.codes.resize(self.codes.len() + self.stride, 0);
                self.rows.insert(id, self.ids.len() - 1);
                self.ids.len() - 1
            }
        };
        self.scales[row] = scale;
        self.codes[row * self.stride..][..self.dimensions].copy_from_slice(codes);
        self.signs.set(row, codes);
    }

    /// Removes the vector under this key; false when there is none. The last row takes its place.
    pub fn remove(&mut self, id: i64) -> bool {
        let Some(row) = self.rows.remove(&id) else { return false };
        let last = self.ids.len() - 1;
        if row != last {
            self.rows.insert(self.ids[last], row);
            self.codes.copy_within(last * self.stride..(last + 1) * self.stride, row * self.stride);
        }
        self.ids.swap_remove(row);
        self.scales.swap_remove(row);
        self.codes.truncate(last * self.stride);
        self.signs.swap_remove(row);
        true
    }

    /// The `k` keys with the largest inner product by codes, best first (equal scores: smaller key first).
    ///
    /// Scores are approximate: take some ten times what is wanted and rescore with [`super::dot`].
    ///
    /// # Panics
    /// When the query's length is not the set's dimensions.
    pub fn scan(&self, query: &[f32], k: usize) -> Vec<(i64, f32)> {
        self.scan_chosen(query, k, CHOSEN_FROM)
    }

    /// The same among the keys that are allowed. Every one of them is looked at, so that of a few none is missed.
    ///
    /// # Panics
    /// When the query's length is not the set's dimensions.
    pub fn scan_where(&self, query: &[f32], k: usize, allowed: &dyn Fn(i64) -> bool) -> Vec<(i64, f32)> {
        let (codes, scale) = self.quantized(query);
        let mut best = Best { k, heap: BinaryHeap::with_capacity(k.min(self.len()) + 1) };
        let rows = (0..self.len()).filter(|row| allowed(self.ids[*row]));
        self.offer_rows(rows, &self.padded(&codes), scale, &mut best);
        best.into_sorted()
    }

    fn quantized(&self, query: &[f32]) -> (Vec<i8>, f32) {
        assert_eq!(query.len(), self.dimensions, "vectors of one index have one length");
        quantize(query)
    }

    fn padded(&self, codes: &[i8]) -> Vec<i8> {
        let mut padded = vec![0i8; self.stride];
        padded[..self.dimensions].copy_from_slice(codes);
        padded
    }

    fn scan_chosen(&self, query: &[f32], k: usize, chosen_from: usize) -> Vec<(i64, f32)> {
        let (codes, scale) = self.quantized(query);
        let padded = self.padded(&codes);
        let mut best = Best { k, heap: BinaryHeap::with_capacity(k.min(self.len()) + 1) };
        if self.len() < chosen_from {
            self.offer_rows(0..self.len(), &padded, scale, &mut best);
        } else {
            let enough = (self.len() / CHOSEN_ONE_IN).max(k.saturating_mul(CHOSEN_FOR_EACH));
            let chosen = self.signs.nearest(&codes, enough);
            self.offer_rows(chosen.into_iter().map(|row| row as usize), &padded, scale, &mut best);
        }
        best.into_sorted()
    }

    fn offer_rows(&self, rows: impl Iterator<Item = usize>, query: &[i8], scale: f32, best: &mut Best) {
        match Processor::detected() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the features were detected.
            Processor::Vnni => unsafe { self.offer_vnni(rows, query, scale, best) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: AVX2 was detected.
            Processor::Avx2 => unsafe { self.offer_avx2(rows, query, scale, best) },
            Processor::Any => self.offer_portable(rows, query, scale, best),
        }
    }

    fn offer_portable(&self, rows: impl Iterator<Item = usize>, query: &[i8], scale: f32, best: &mut Best) {
        for row in rows {
            let sum = dot_codes_portable(self.codes_of(row), query);
            best.offer(self.ids[row], sum as f32 * self.scales[row] * scale);
        }
    }

    /// # Safety
    /// Needs AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn offer_avx2(
        &self,
        rows: impl Iterator<Item = usize>,
        query: &[i8],
        scale: f32,
        best: &mut Best,
    ) {
        for row in rows {
            // SAFETY: AVX2 is there; both slices are one stride long, a multiple of LANES.
            let sum = unsafe { super::dot::avx2::dot_codes(self.codes_of(row), query) };
            best.offer(self.ids[row], sum as f32 * self.scales[row] * scale);
        }
    }

    /// # Safety
    /// Needs AVX-512 F, BW and VNNI.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn offer_vnni(
        &self,
        rows: impl Iterator<Item = usize>,
        query: &[i8],
        scale: f32,
        best: &mut Best,
    ) {
        let shift = 128 * query.iter().map(|&code| i32::from(code)).sum::<i32>();
        for row in rows {
            // SAFETY: the features are there; both slices are one stride long, a multiple of LANES.
            let sum = unsafe { super::dot::vnni::dot_codes(self.codes_of(row), query, shift) };
            best.offer(self.ids[row], sum as f32 * self.scales[row] * scale);
        }
    }

    fn codes_of(&self, row: usize) -> &[i8] {
        &self.codes[row * self.stride..][..self.stride]
    }
}

/// What the processor offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Processor {
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Any,
}

impl Processor {
    fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f") && has!("avx512bw") && has!("avx512vnni") {
                return Self::Vnni;
            }
            if has!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Any
    }
}

/// The best `k` so far; the heap's top is the worst of them.
struct Best {
    k: usize,
    heap: BinaryHeap<Candidate>,
}

impl Best {
    #[inline]
    fn offer(&mut self, id: i64, score: f32) {
        let candidate = Candidate { score, id };
        if self.heap.len() >= self.k && self.heap.peek().is_none_or(|worst| candidate >= *worst) {
            return;
        }
        self.heap.push(candidate);
        if self.heap.len() > self.k {
            self.heap.pop();
        }
    }

    fn into_sorted(self) -> Vec<(i64, f32)> {
        self.heap.into_sorted_vec().into_iter().map(|c| (c.id, c.score)).collect()
    }
}

/// Ordered so that less is better.
struct Candidate {
    score: f32,
    id: i64,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests {
    use super::super::dot;
    use super::*;
    use crate::embed::Mock;

    fn set(vectors: &[Vec<f32>]) -> CodeSet {
        let mut set = CodeSet::new(vectors[0].len());
        for (id, vector) in vectors.iter().enumerate() {
            set.push(id as i64, vector);
        }
        set
    }

    fn random(count: usize, dimensions: usize) -> Vec<Vec<f32>> {
        let mock = Mock::with_dimensions(dimensions);
        (0..count).map(|i| mock.vector(&i.to_string())).collect()
    }

    #[test]
    fn simd_and_portable_give_the_same() {
        for dimensions in [1, 13, 32, 384, 768] {
            let set = set(&random(300, dimensions));
            let query = Mock::with_dimensions(dimensions).vector("query");
            let (codes, scale) = quantize(&query);
            let mut padded = vec![0i8; set.stride];
            padded[..dimensions].copy_from_slice(&codes);
            let best = || Best { k: 50, heap: BinaryHeap::new() };
            let mut portable = best();
            set.offer_portable(0..set.len(), &padded, scale, &mut portable);
            let portable = portable.into_sorted();
            assert_eq!(set.scan(&query, 50), portable, "{dimensions} dimensions");
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                let mut avx2 = best();
                // SAFETY: AVX2 was detected.
                unsafe { set.offer_avx2(0..set.len(), &padded, scale, &mut avx2) };
                assert_eq!(avx2.into_sorted(), portable, "{dimensions} dimensions by AVX2");
            }
        }
    }

    #[test]
    fn rescored_scan_finds_what_floats_find() {
        for dimensions in [384, 768] {
            let vectors = random(5_000, dimensions);
            let set = set(&vectors);
            let (mut found, queries) = (0, 50);
            for q in 0..queries {
                let query = Mock::with_dimensions(dimensions).vector(&format!("query {q}"));
                let top = |ids: &mut dyn Iterator<Item = usize>| {
                    let mut scored: Vec<_> = ids.map(|i| (i, dot(&query, &vectors[i]))).collect();
                    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
                    scored.iter().take(10).map(|s| s.0).collect::<Vec<_>>()
                };
                let exact = top(&mut (0..vectors.len()));
                let rescored = top(&mut set.scan(&query, 100).iter().map(|s| s.0 as usize));
                found += rescored.iter().filter(|i| exact.contains(i)).count();
            }
            assert!(found as f64 / (queries * 10) as f64 >= 0.99, "{found} of {}", queries * 10);
        }
    }

    #[test]
    fn what_is_not_allowed_takes_no_place() {
        let vectors = random(500, 384);
        let set = set(&vectors);
        let query = Mock::with_dimensions(384).vector("query");
        let third = |id: i64| id % 3 == 0;
        let all = set.scan(&query, vectors.len());
        let expected: Vec<_> = all.into_iter().filter(|(id, _)| third(*id)).take(20).collect();
        assert_eq!(set.scan_where(&query, 20, &third), expected);
        assert_eq!(set.scan_where(&query, 20, &|id| id == 7).len(), 1);
        assert!(set.scan_where(&query, 20, &|_| false).is_empty());
    }

    #[test]
    fn keys_are_replaced_and_removed() {
        let vectors = random(20, 13);
        let mut set = set(&vectors);
        set.push(3, &vectors[7]);
        assert_eq!(set.len(), 20);
        assert!(set.remove(7) && !set.remove(7) && set.remove(19));
        assert_eq!((set.len(), set.contains(7), set.contains(3)), (18, false, true));
        assert_eq!(set.scan(&vectors[7], 1)[0].0, 3);
        let hits = set.scan(&vectors[7], 100);
        assert_eq!(hits.len(), 18);
        assert!(hits.is_sorted_by(|a, b| a.1 >= b.1));
        assert!(set.scan(&vectors[7], 0).is_empty());
        for id in 0..20 {
            set.remove(id);
        }
        assert!(set.is_empty() && set.scan(&vectors[0], 5).is_empty());
        assert!(set.bytes() > 0);
    }

    #[test]
    fn what_signs_choose_has_the_nearest() {
        // Vectors of texts lie in groups; those of one are nearer to each other than chance makes any.
        let (dimensions, groups) = (384, 200);
        let noise = Mock::with_dimensions(dimensions);
        let near = |group: usize, member: usize| -> Vec<f32> {
            let centre = noise.vector(&format!("group {group}"));
            let own = noise.vector(&format!("group {group} member {member}"));
            centre.iter().zip(own).map(|(centre, own)| 0.6 * centre + 0.8 * own).collect()
        };
        let vectors: Vec<Vec<f32>> = (0..groups * 30).map(|i| near(i % groups, i)).collect();
        let mut set = set(&vectors);
        assert!(set.remove(17));
        let (mut found, queries) = (0, 50);
        for group in 0..queries {
            let query = near(group, usize::MAX);
            let all: Vec<i64> = set.scan_chosen(&query, 10, usize::MAX).iter().map(|hit| hit.0).collect();
            let chosen = set.scan_chosen(&query, 10, 0);
            found += chosen.iter().filter(|hit| all.contains(&hit.0)).count();
        }
        assert!(found * 100 >= queries * 10 * 99, "{found} of {}", queries * 10);
    }

    /// Run by hand, in release: `cargo test --release -p docmill-worker scan_speed -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement, not a check"]
    fn scan_speed() {
        let set = set(&random(100_000, 384));
        let query = Mock::with_dimensions(384).vector("query");
        let mut times: Vec<_> = (0..50)
            .map(|_| {
                let started = std::time::Instant::now();
                assert_eq!(set.scan(&query, 100).len(), 100);
                started.elapsed()
            })
            .collect();
        times.sort();
        println!("100,000 x 384: median {:?}, worst {:?}, {} bytes", times[25], times[49], set.bytes());
    }
}

//! The signs of vectors, a bit a dimension: a first look that reads an eighth of what codes take.

/// Signs of rows, contiguous in memory.
#[derive(Debug, Clone)]
pub(super) struct Signs {
    /// 64-bit words a row.
    words: usize,
    bits: Vec<u64>,
}

impl Signs {
    pub(super) fn new(dimensions: usize) -> Self {
        Self { words: dimensions.div_ceil(64).max(1), bits: Vec::new() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bits.capacity() * size_of::<u64>()
    }

    pub(super) fn reserve(&mut self, additional: usize) {
        self.bits.reserve(additional * self.words);
    }

    /// Sets a row, which may be the next new one.
    pub(super) fn set(&mut self, row: usize, codes: &[i8]) {
        let end = (row + 1) * self.words;
        if self.bits.len() < end {
            self.bits.resize(end, 0);
        }
        self.pack(codes, row * self.words);
    }

    /// Removes a row; the last takes its place.
    pub(super) fn swap_remove(&mut self, row: usize) {
        let last = self.bits.len() / self.words - 1;
        self.bits.copy_within(last * self.words..(last + 1) * self.words, row * self.words);
        self.bits.truncate(last * self.words);
    }

    fn pack(&mut self, codes: &[i8], at: usize) {
        for (word, codes) in self.bits[at..at + self.words].iter_mut().zip(codes.chunks(64)) {
            *word =
                codes.iter().enumerate().fold(0, |word, (bit, code)| word | (u64::from(*code < 0) << bit));
        }
    }

    /// About `enough` rows that differ least from these codes' signs, ascending; rows that differ as
    /// much as the last one chosen come along.
    pub(super) fn nearest(&self, codes: &[i8], enough: usize) -> Vec<u32> {
        let mut query = Self { words: self.words, bits: vec![0; self.words] };
        query.pack(codes, 0);
        let differences = self.differences(&query.bits);
        let mut counts = vec![0usize; self.words * 64 + 1];
        for difference in &differences {
            counts[usize::from(*difference)] += 1;
        }
        let mut sum = 0;
        let bound = counts.iter().position(|count| {
            sum += count;
            sum >= enough
        });
        let bound = bound.unwrap_or(counts.len());
        let rows = differences.iter().enumerate();
        rows.filter(|(_, difference)| usize::from(**difference) <= bound)
            .map(|(row, _)| row as u32)
            .collect()
    }

    fn differences(&self, query: &[u64]) -> Vec<u16> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512vpopcntdq")
        {
            // SAFETY: the instructions were detected.
            return unsafe { self.differences_vpopcnt(query) };
        }
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("popcnt") {
            // SAFETY: the instruction was detected.
            return unsafe { self.differences_popcnt(query) };
        }
        self.count_differences(query)
    }

    /// # Safety
    /// Needs AVX-512F and VPOPCNTDQ, which count eight words at once.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
    unsafe fn differences_vpopcnt(&self, query: &[u64]) -> Vec<u16> {
        self.count_differences(query)
    }

    /// # Safety
    /// Needs POPCNT.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "popcnt")]
    unsafe fn differences_popcnt(&self, query: &[u64]) -> Vec<u16> {
        self.count_differences(query)
    }

    /// Inlined into each form, so that `count_ones` is what that form's processor offers.
    #[inline(always)]
    fn count_differences(&self, query: &[u64]) -> Vec<u16> {
        // Loops of known length are unrolled: the usual models have 384, 768, 1,024 and 1,536 dimensions.
        match self.words {
            6 => self.differences_of::<6>(query),
            12 => self.differences_of::<12>(query),
            16 => self.differences_of::<16>(query),
            24 => self.differences_of::<24>(query),
            words => self.bits.chunks_exact(words).map(|row| difference(row, query)).collect(),
        }
    }

    #[inline(always)]
    fn differences_of<const WORDS: usize>(&self, query: &[u64]) -> Vec<u16> {
        let (rows, _) = self.bits.as_chunks::<WORDS>();
        let ([query], _) = query.as_chunks::<WORDS>() else { return Vec::new() };
        let mut differences = vec![0; rows.len()];
        for (difference_of_row, row) in differences.iter_mut().zip(rows) {
            *difference_of_row = difference(row, query);
        }
        differences
    }
}

#[inline(always)]
fn difference(row: &[u64], query: &[u64]) -> u16 {
    let mut sum = 0;
    for (a, b) in row.iter().zip(query) {
        sum += (a ^ b).count_ones();
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_differ_least_are_chosen() {
        let mut signs = Signs::new(70);
        for row in 0..70 {
            let codes: Vec<i8> = (0..70).map(|i| if i < row { -1 } else { 1 }).collect();
            signs.set(row as usize, &codes);
        }
        assert_eq!(signs.nearest(&[1; 70], 3), [0, 1, 2]);
        assert_eq!(signs.nearest(&[-1; 70], 2), [68, 69]);
        signs.swap_remove(0);
        assert_eq!(signs.nearest(&[-1; 70], 2), [0, 68], "the last row took the place of the first");
        assert_eq!(signs.nearest(&[1; 70], 100).len(), 69);
        assert!(Signs::new(70).nearest(&[1; 70], 5).is_empty());
    }

    #[test]
    fn loops_of_any_length_count_the_same() {
        for dimensions in [384, 500, 768, 1_024, 1_536] {
            let mut signs = Signs::new(dimensions);
            for row in 0..9 {
                let codes: Vec<i8> = (0..dimensions).map(|i| if i % 9 < row { -1 } else { 1 }).collect();
                signs.set(row, &codes);
            }
            let none = signs.words * 64;
            let query = vec![0; none / 64];
            let counted: Vec<u16> =
                signs.bits.chunks(signs.words).map(|row| difference(row, &query)).collect();
            assert_eq!(signs.differences(&query), counted);
            assert_eq!(usize::from(counted[8]), (0..dimensions).filter(|i| i % 9 < 8).count());
        }
    }
}

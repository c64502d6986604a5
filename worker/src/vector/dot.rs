//! Inner products, by AVX2 where the processor has it; the portable form gives the same to rounding.

/// Inner product of two float vectors of the same length, for rescoring.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one index have one length");
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the features were detected, and the lengths are equal.
        return unsafe { avx2::dot_f32(a, b) };
    }
    dot_portable(a, b)
}

fn dot_portable(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums, as one would make each addition wait for the last.
    let mut sums = [0.0f32; 8];
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum::<f32>()
}

/// Inner product of codes. Exact, so every form gives the same number.
pub(super) fn dot_codes_portable(codes: &[i8], query: &[i8]) -> i32 {
    codes.iter().zip(query).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum()
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    //! The same with 256-bit registers.

    use std::arch::x86_64::*;

    /// # Safety
    /// Needs AVX2 and FMA, and `a.len() == b.len()`.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
        let whole = a.len() / 16 * 16;
        let (mut even, mut odd) = (_mm256_setzero_ps(), _mm256_setzero_ps());
        let mut i = 0;
        while i < whole {
            // SAFETY: i + 16 <= whole <= a.len() == b.len().
            unsafe {
                let (x, y) = (a.as_ptr().add(i), b.as_ptr().add(i));
                even = _mm256_fmadd_ps(_mm256_loadu_ps(x), _mm256_loadu_ps(y), even);
                odd = _mm256_fmadd_ps(_mm256_loadu_ps(x.add(8)), _mm256_loadu_ps(y.add(8)), odd);
            }
            i += 16;
        }
        let mut lanes = [0.0f32; 8];
        // SAFETY: the array holds eight floats.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(even, odd)) };
        let rest: f32 = a[whole..].iter().zip(&b[whole..]).map(|(x, y)| x * y).sum();
        lanes.iter().sum::<f32>() + rest
    }

    /// # Safety
    /// Needs AVX2; `codes.len() == query.len()`, a multiple of 32; no code is -128.
    #[target_feature(enable = "avx2")]
    pub unsafe fn dot_codes(codes: &[i8], query: &[i8]) -> i32 {
        debug_assert!(codes.len() == query.len() && codes.len().is_multiple_of(32));
        let ones = _mm256_set1_epi16(1);
        let mut sum = _mm256_setzero_si256();
        let mut i = 0;
        while i < codes.len() {
            // SAFETY: i + 32 <= codes.len() == query.len(), as that is a multiple of 32.
            unsafe {
                let x = _mm256_loadu_si256(codes.as_ptr().add(i).cast());
                let y = _mm256_loadu_si256(query.as_ptr().add(i).cast());
                // The instruction wants one side without sign: |x| * (y with x's sign) is the same.
                // Two products of at most 127 * 127 fit into 16 bits, so nothing saturates.
                let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x));
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
            }
            i += 32;
        }
        let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b01_00_11_10>(sum));
        let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b10_11_00_01>(sum));
        _mm_cvtsi128_si32(sum)
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod vnni {
    //! Codes by the instructions made for them, 64 at a time.

    use std::arch::x86_64::*;

    /// # Safety
    /// Needs AVX-512 F, BW and VNNI; `codes.len() == query.len()`, a multiple of 64; `shift` is 128
    /// times the sum of the query.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub unsafe fn dot_codes(codes: &[i8], query: &[i8], shift: i32) -> i32 {
        debug_assert!(codes.len() == query.len() && codes.len().is_multiple_of(64));
        let top = _mm512_set1_epi8(i8::MIN);
        let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        let mut i = 0;
        while i < codes.len() {
            // SAFETY: i + 64 <= codes.len() == query.len(), as that is a multiple of 64.
            unsafe {
                // The instruction wants one side without sign: x + 128 has none, and 128 * sum(y) is
                // taken off at the end.
                let x = _mm512_xor_si512(_mm512_loadu_si512(codes.as_ptr().add(i).cast()), top);
                let sum = _mm512_dpbusd_epi32(even, x, _mm512_loadu_si512(query.as_ptr().add(i).cast()));
                (even, odd) = (odd, sum);
            }
            i += 64;
        }
        _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd)) - shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_forms_agree() {
        for length in [0, 1, 7, 8, 13, 16, 31, 384, 768, 1_001] {
            let a: Vec<f32> = (0..length).map(|i| (i as f32 * 0.7).sin()).collect();
            let b: Vec<f32> = (0..length).map(|i| (i as f32 * 1.3).cos()).collect();
            let expected: f64 = a.iter().zip(&b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
            assert!((f64::from(dot(&a, &b)) - expected).abs() < 1e-3);
            assert!((f64::from(dot_portable(&a, &b)) - expected).abs() < 1e-3);
        }
    }
}

//! Floats to int8 codes with one scale a vector.

/// Codes in -127..=127 and the scale with which `code * scale` is near the component.
///
/// Components that are not finite become 0, so that one bad vector cannot win every search.
pub fn quantize(vector: &[f32]) -> (Vec<i8>, f32) {
    let largest = vector.iter().filter(|x| x.is_finite()).fold(0.0f32, |max, x| max.max(x.abs()));
    if largest == 0.0 {
        return (vec![0; vector.len()], 0.0);
    }
    let scale = largest / 127.0;
    // `as` saturates and makes NaN 0; infinities are caught before.
    let code = |x: &f32| if x.is_finite() { (x / scale).round() as i8 } else { 0 };
    (vector.iter().map(code).collect(), scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn codes_are_within_half_a_step(vector in prop::collection::vec(-10.0f32..10.0, 0..50)) {
            let (codes, scale) = quantize(&vector);
            for (code, x) in codes.iter().zip(&vector) {
                prop_assert!((f32::from(*code) * scale - x).abs() <= scale * 0.501);
                prop_assert!(*code != i8::MIN);
            }
        }
    }

    #[test]
    fn zeros_and_bad_numbers_are_harmless() {
        assert_eq!(quantize(&[0.0, 0.0]), (vec![0, 0], 0.0));
        let (codes, scale) = quantize(&[f32::NAN, 1.0, f32::INFINITY]);
        assert_eq!((codes, scale), (vec![0, 127, 0], 1.0 / 127.0));
    }
}

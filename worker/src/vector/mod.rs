//! tmp
/// tmp
pub fn quantize(v: &[f32]) -> (Vec<i8>, f32) {
    let m = v.iter().fold(0f32, |a, b| a.max(b.abs()));
    let s = if m > 0.0 { m / 127.0 } else { 1.0 };
    (v.iter().map(|x| (x / s).round() as i8).collect(), s)
}

//! Bytes that were written as letters by `uuencode`.

/// The bytes of the first file in it; `None` where there is none.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    lines.by_ref().find(|line| line.starts_with(b"begin "))?;
    let mut bytes = Vec::new();
    for line in lines {
        if line == b"end" {
            return Some(bytes);
        }
        // Spaces at the end may have got lost, which are zeros.
        let value = |at: usize| (line.get(at).copied().unwrap_or(b' ').wrapping_sub(b' ')) & 63;
        let count = usize::from(if line.is_empty() { 0 } else { value(0) });
        let before = bytes.len();
        for group in 0..count.div_ceil(3) {
            let [a, b, c, d] = [1, 2, 3, 4].map(|place| u32::from(value(group * 4 + place)));
            let three = (a << 18) | (b << 12) | (c << 6) | d;
            bytes.extend(&three.to_be_bytes()[1..]);
        }
        bytes.truncate(before + count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_bytes() {
        let text = b"what it is\nbegin 644 a.txt\n%:&5L;&\\ \n`\nend\n";
        assert_eq!(decode(text).unwrap(), b"hello");
        assert_eq!(decode(b"begin 644 a\n#86)C\nend").unwrap(), b"abc");
        assert_eq!(decode(b"begin 644 a\n#86)C\n"), None);
        assert_eq!(decode(b"nothing"), None);
    }
}

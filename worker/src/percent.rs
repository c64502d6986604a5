//! Text of addresses, in which bytes may be written as `%` and two hexadecimal digits.

/// The bytes that are meant; what is no such sign stays as it is. They need not be text.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let meant = after.first_chunk::<2>().copied().and_then(byte_of).filter(|_| byte == b'%');
        bytes.push(meant.unwrap_or(byte));
        rest = if meant.is_some() { &after[2..] } else { after };
    }
    bytes
}

fn byte_of(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_sign_stays() {
        assert_eq!(decoded("a%20b%C3%A9%zz%2"), "a bé%zz%2".as_bytes());
        assert_eq!(decoded("%+5%%41%"), b"%+5%A%");
        assert_eq!(decoded("%ff"), [0xff_u8]);
    }
}

//! Bytes of any encoding to a string. Knows no format.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE};

/// More text than this does not change the guess.
const GUESS_BYTES: usize = 1 << 20;

/// The text: UTF-32 if it is, by byte order mark, else UTF-8 if it is, else `declared`, else the best guess.
pub(super) fn decode(bytes: &[u8], declared: Option<&'static Encoding>) -> String {
    if let Some(number) = utf32(bytes) {
        let text = bytes.chunks_exact(4).map(|quad| char_of(number, quad));
        return text.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    }
    let encoding = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding,
        None => match std::str::from_utf8(bytes) {
            Ok(_) if declared == Some(ISO_2022_JP) || shifts_to_japanese(bytes) => ISO_2022_JP,
            Ok(text) if utf16_without_bom(bytes).is_none() => return text.to_owned(),
            _ => utf16_without_bom(bytes)
                .or(declared.filter(|&d| d != UTF_8))
                .unwrap_or_else(|| guess(bytes)),
        },
    };
    encoding.decode(bytes).0.into_owned()
}

/// Japanese written in seven bits, which is ASCII to who does not know its escapes.
fn shifts_to_japanese(bytes: &[u8]) -> bool {
    let bytes = &bytes[..bytes.len().min(GUESS_BYTES)];
    bytes.windows(3).any(|shift| shift == b"\x1b$B" || shift == b"\x1b$@")
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    // Text with a few broken places is better read as UTF-8 than as anything else.
    let broken = String::from_utf8_lossy(&bytes[..bytes.len().min(GUESS_BYTES)]);
    let (bad, good) = broken.chars().fold((0, 0), |(bad, good), c| match c {
        '\u{fffd}' => (bad + 1, good),
        c if !c.is_ascii() => (bad, good + 1),
        _ => (bad, good),
    });
    if good > bad * 20 {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(&bytes[..bytes.len().min(GUESS_BYTES)], bytes.len() <= GUESS_BYTES);
    detector.guess(None, Utf8Detection::Deny)
}

type Number = fn([u8; 4]) -> u32;

fn char_of(number: Number, quad: &[u8]) -> Option<char> {
    let quad = quad.try_into().ok()?;
    char::from_u32(number(quad))
}

/// UTF-32, which browsers do not know, nor what is made for them: by its mark, or as every four bytes are a character.
pub(super) fn utf32(bytes: &[u8]) -> Option<Number> {
    let little: Number = u32::from_le_bytes;
    let big: Number = u32::from_be_bytes;
    if bytes.starts_with(b"\xff\xfe\0\0") {
        return Some(little);
    }
    if bytes.starts_with(b"\0\0\xfe\xff") {
        return Some(big);
    }
    let quads = bytes[..bytes.len().min(4_096)].chunks_exact(4);
    let fits = |number: Number| {
        quads.len() >= 4 && quads.clone().all(|quad| char_of(number, quad).is_some_and(|c| c != '\0'))
    };
    [little, big].into_iter().find(|&number| fits(number))
}

/// UTF-16 by its byte order mark, with which other files may begin as well: after it there must be characters.
pub(super) fn utf16_with_bom(bytes: &[u8]) -> Option<&'static Encoding> {
    let (encoding, mark) = Encoding::for_bom(bytes).filter(|(encoding, _)| *encoding != UTF_8)?;
    let units = &bytes[mark..bytes.len().min(4_096)];
    let (text, _) = encoding.decode_without_bom_handling(&units[..units.len() & !1]);
    let is_odd = |c: &char| {
        let is_usual = matches!(c, '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1b}');
        (c.is_control() && !is_usual) || matches!(c, '\u{fffd}'..='\u{ffff}')
    };
    let odd = text.chars().filter(is_odd).count();
    (odd * 50 <= text.chars().count()).then_some(encoding)
}

/// UTF-16 by its zeros, which stand all at odd or all at even places in mostly Latin text.
pub(super) fn utf16_without_bom(bytes: &[u8]) -> Option<&'static Encoding> {
    let pairs = bytes[..bytes.len().min(4_096)].chunks_exact(2);
    let (count, mut first, mut second) = (pairs.len(), 0, 0);
    for pair in pairs {
        first += usize::from(pair[0] == 0);
        second += usize::from(pair[1] == 0);
    }
    match () {
        () if count >= 4 && first == 0 && second * 10 >= count * 6 => Some(UTF_16LE),
        () if count >= 4 && second == 0 && first * 10 >= count * 6 => Some(UTF_16BE),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_found() {
        let japanese = "日本語の文章を正しく読み取れることを確認するためのテストです。漢字とひらがなとカタカナを含みます。";
        let chinese =
            "这是一个用来检查编码识别的中文段落，里面有常用的汉字和标点符号。我们希望它能被正确读取。";
        let german =
            "Die Größe der Häuser überrascht: schöne Straßen, müde Füße und „Anführungszeichen“ für alle.";
        let russian = "Это предложение проверяет, что кодировка определяется правильно без подсказок.";
        for (text, encoding) in [
            (japanese, encoding_rs::SHIFT_JIS),
            (japanese, encoding_rs::EUC_JP),
            (japanese, ISO_2022_JP),
            (chinese, encoding_rs::GBK),
            (german, encoding_rs::WINDOWS_1252),
            (russian, encoding_rs::WINDOWS_1251),
            (german, UTF_8),
        ] {
            let bytes = encoding.encode(text).0;
            assert_eq!(decode(&bytes, None), text, "{}", encoding.name());
        }
        let little: Vec<u8> = german.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = german.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(&little, None), german);
        assert_eq!(decode(&big, None), german);
        let wide: Vec<u8> = japanese.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        assert_eq!(decode(&wide, None), japanese);
        let wide: Vec<u8> = ['\u{feff}'; 1]
            .into_iter()
            .chain(german.chars())
            .flat_map(|c| u32::from(c).to_be_bytes())
            .collect();
        assert_eq!(decode(&wide, None).trim_start_matches('\u{feff}'), german);
        // A surrogate without its other half is no character.
        assert_eq!(decode(b"\xff\xfea\0\x00\xd8b\0", None), "a\u{fffd}b");
        let mark: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(japanese.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(decode(&mark, None), japanese);
    }
}

//! Whether a picture in a PDF is a JPEG that is shown as it is: nothing but a list of what its dictionary may say, as a
//! mask, other colours or another filter make another picture of it. What is not on the list is left to pdfium.

/// Most words, names and brackets of a dictionary that is looked at; those of scanners have thirty.
const TOKENS_MAX: usize = 200;

/// Reads the dictionary of a picture; gives its width and height if it says no more than that of a plain JPEG does.
pub(super) fn plain_jpeg(dictionary: &[u8]) -> Option<(usize, usize)> {
    let tokens = tokens(dictionary)?;
    let [Token::Dictionary, entries @ .., Token::DictionaryEnd] = tokens.as_slice() else { return None };
    let (mut rest, mut width, mut height, mut is_jpeg) = (entries, None, None, false);
    while let [Token::Name(key), values @ ..] = rest {
        let (value, others) = values.split_at(length_of_first(values)?);
        rest = others;
        // As if it were not there.
        if value == [Token::Word(b"null")] {
            continue;
        }
        match *key {
            b"Width" => width = Some(number(value)?),
            b"Height" => height = Some(number(value)?),
            b"Filter" => is_jpeg = is_jpeg_alone(value),
            _ if !changes_nothing(key, value) => return None,
            _ => {}
        }
    }
    (rest.is_empty() && is_jpeg).then_some((width?, height?))
}

/// Whether an entry leaves a JPEG what it is. Of what its colours mean, somebody else is asked.
fn changes_nothing(key: &[u8], value: &[Token<'_>]) -> bool {
    match key {
        b"Type" => value == [Token::Name(b"XObject")],
        b"Subtype" => value == [Token::Name(b"Image")],
        b"BitsPerComponent" => value == [Token::Word(b"8")],
        b"ImageMask" => value == [Token::Word(b"false")],
        b"Decode" => is_usual_decode(value),
        b"ColorSpace" | b"Length" | b"Name" | b"Interpolate" | b"Intent" | b"Metadata"
        | b"StructParent" => true,
        _ => false,
    }
}

fn is_jpeg_alone(value: &[Token<'_>]) -> bool {
    const JPEG: Token<'static> = Token::Name(b"DCTDecode");
    value == [JPEG] || value == [Token::Array, JPEG, Token::ArrayEnd]
}

/// From 0 to 1 for each component, which is what is meant where nothing is said.
fn is_usual_decode(value: &[Token<'_>]) -> bool {
    let [Token::Array, ends @ .., Token::ArrayEnd] = value else { return false };
    let mut pairs = ends.chunks_exact(2);
    !ends.is_empty()
        && pairs.remainder().is_empty()
        && pairs.all(|pair| match pair {
            [Token::Word(low), Token::Word(high)] => {
                matches!(*low, b"0" | b"0.0") && matches!(*high, b"1" | b"1.0")
            }
            _ => false,
        })
}

fn number(value: &[Token<'_>]) -> Option<usize> {
    let [Token::Word(digits)] = value else { return None };
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// How many of these make the first value.
fn length_of_first(tokens: &[Token<'_>]) -> Option<usize> {
    match tokens.first()? {
        Token::Name(_) => Some(1),
        // A number, or a reference, which is two and a letter: what follows is the name of another key.
        Token::Word(_) => Some(tokens.iter().take_while(|token| matches!(token, Token::Word(_))).count()),
        Token::Array | Token::Dictionary => {
            let mut depth = 0_usize;
            let end = tokens.iter().position(|token| {
                match token {
                    Token::Array | Token::Dictionary => depth += 1,
                    Token::ArrayEnd | Token::DictionaryEnd => depth -= 1,
                    Token::Name(_) | Token::Word(_) => {}
                }
                depth == 0
            });
            end.map(|end| end + 1)
        }
        Token::ArrayEnd | Token::DictionaryEnd => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Dictionary,
    DictionaryEnd,
    Array,
    ArrayEnd,
    Name(&'a [u8]),
    Word(&'a [u8]),
}

/// None where there are strings, comments or names with a code in them, none of which a scanner writes.
fn tokens(text: &[u8]) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        let (token, used) = match rest {
            [] => return Some(tokens),
            [b'<', b'<', ..] => (Token::Dictionary, 2),
            [b'>', b'>', ..] => (Token::DictionaryEnd, 2),
            [b'[', ..] => (Token::Array, 1),
            [b']', ..] => (Token::ArrayEnd, 1),
            [b'/', name @ ..] => {
                let name = &name[..regular(name)];
                (Token::Name(name), name.len() + 1)
            }
            _ => {
                let word = &rest[..regular(rest)];
                (Token::Word(word), word.len())
            }
        };
        if used == 0 || tokens.len() == TOKENS_MAX || rest[..used].contains(&b'#') {
            return None;
        }
        tokens.push(token);
        rest = &rest[used..];
    }
}

/// How many characters there are before the next space or bracket.
fn regular(text: &[u8]) -> usize {
    let is_regular = |b: &&u8| b.is_ascii_graphic() && !b"()<>[]{}/%".contains(*b);
    text.iter().take_while(is_regular).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "/Type/XObject/Subtype/Image/Width 2481/Height 3508/BitsPerComponent 8";

    fn read(more: &str) -> Option<(usize, usize)> {
        plain_jpeg(format!("<<{PLAIN}{more}>>").as_bytes())
    }

    #[test]
    fn what_scanners_write_is_plain() {
        for more in [
            "/Filter/DCTDecode/ColorSpace/DeviceRGB/Length 630114",
            "/Filter [ /DCTDecode ] /ColorSpace [/ICCBased 7 0 R] /Length 9 0 R\r\n",
            "/Filter/DCTDecode/ColorSpace[/CalRGB<</WhitePoint[0.95 1 1.09]/Gamma[1.8 1.8 1.8]>>]/Name/I1",
            "/Filter/DCTDecode/Decode[0 1 0 1 0 1]/SMask null/ImageMask false/Interpolate true",
            "/Filter/DCTDecode/DecodeParms null/Metadata 4 0 R/Intent/Perceptual",
        ] {
            assert_eq!(read(more), Some((2_481, 3_508)), "{more}");
        }
    }

    #[test]
    fn what_makes_another_picture_of_it_is_not() {
        for more in [
            "",
            "/Filter/JPXDecode",
            "/Filter[/FlateDecode/DCTDecode]",
            "/Filter/DCTDecode/Filter/CCITTFaxDecode",
            "/Filter/DCTDecode/SMask 8 0 R",
            "/Filter/DCTDecode/Mask[255 255]",
            "/Filter/DCTDecode/Decode[1 0]",
            "/Filter/DCTDecode/Decode[0 1 0]",
            "/Filter/DCTDecode/Decode[]",
            "/Filter/DCTDecode/ImageMask true",
            "/Filter/DCTDecode/DecodeParms<</ColorTransform 0>>",
            "/Filter/DCTDecode/OC 12 0 R",
            "/Filter/DCTDecode/BitsPerComponent 1",
            "/Filter/DCTDecode/Width 4 0 R",
            "/Filter/DCTDecode/S#4dask 8 0 R",
            // What hides the rest from who reads it in a hurry.
            "/Filter/DCTDecode/Name(>>)/SMask 8 0 R",
            "/Filter/DCTDecode%>>\n/SMask 8 0 R",
            "/Filter/DCTDecode/Name<3e3e>",
            "/Filter/DCTDecode/Name[[/A]",
            "/Filter/DCTDecode/Name]",
            "/Filter/DCTDecode/Length 3 /A",
            "/Filter/DCTDecode>><<",
        ] {
            assert_eq!(read(more), None, "{more}");
        }
        assert_eq!(plain_jpeg(b"<</Filter/DCTDecode/Width 3>>"), None);
        assert_eq!(plain_jpeg(b"<</Filter/DCTDecode/Width 3/Height 4>>"), Some((3, 4)));
        assert_eq!(plain_jpeg(b"5"), None);
        let many = format!("<<{PLAIN}/Filter/DCTDecode/Name[{}]>>", "0 ".repeat(TOKENS_MAX));
        assert_eq!(plain_jpeg(many.as_bytes()), None);
    }
}

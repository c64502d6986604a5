//! Concepts in text that is written without spaces: Japanese by script, Chinese and Korean by what
//! repeats. It knows no dictionary.

use std::ops::Range;

use super::ConceptKind;
use super::Found;

/// Characters that Chinese terms do not contain.
const FUNCTION: &str = "的了和是在不有也就都而及与或这那你我他她它们为以于将被把从到对等并且但若则其之所者吗呢吧啊很还又很再已";
/// Characters that Chinese terms do not end with ("在系统中"), though some begin with them.
const FUNCTION_AT_END: &str = "中上下里后前时个";
/// Han that only counts or dates.
const COUNTING: &str = "一二三四五六七八九十百千万億亿年月日時时分秒第円元個个";
/// Korean particles of one syllable.
const PARTICLES: &str = "은는이가을를의에와과로도";
/// Bits of a character, and of a position, in a packed gram.
const CHAR_BITS: u32 = 21;
const GRAM: usize = 4;

fn is_katakana(c: char) -> bool {
    matches!(c, '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}')
}

fn is_hiragana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{309f}')
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7a3}')
}

fn is_han(c: char) -> bool {
    !is_katakana(c) && !is_hiragana(c) && !is_hangul(c)
}

/// Finds concepts in the CJK runs of `text`; `japanese` when the language says so.
pub(super) fn find<'a>(text: &'a str, runs: &[Range<usize>], japanese: bool, found: &mut Found<'a>) {
    let japanese = japanese || runs.iter().any(|run| text[run.clone()].contains(is_hiragana));
    if !japanese {
        repeated(text, runs, found);
    }
    for run in runs {
        let mut rest = &text[run.clone()];
        while let Some(first) = rest.chars().next() {
            let class =
                [is_katakana, is_hangul, is_han, is_hiragana].into_iter().find(|class| class(first));
            let Some(class) = class else { break };
            let (piece, tail) = rest.split_at(rest.find(|c| !class(c)).unwrap_or(rest.len()));
            rest = tail;
            let length = piece.chars().count();
            if is_katakana(first) && (3..=24).contains(&length) {
                found.add(piece, ConceptKind::Term, 1, 32);
            } else if is_hangul(first) {
                korean(piece, length, found);
            } else if japanese
                && is_han(first)
                && (2..=6).contains(&length)
                && !piece.chars().all(|c| COUNTING.contains(c))
            {
                found.add(piece, ConceptKind::Term, 1, 8 * (length as u64).min(4));
            }
        }
    }
}

/// A Korean word without its particle; it counts from the second time on.
fn korean<'a>(word: &'a str, length: usize, found: &mut Found<'a>) {
    let bare =
        if length >= 3 { word.strip_suffix(|c| PARTICLES.contains(c)).unwrap_or(word) } else { word };
    if (2..=8).contains(&length) {
        found.add_repeated(bare, ConceptKind::Term, 16);
    }
}

/// Chinese: grams of two to four characters that repeat and are part of no longer one as frequent.
fn repeated<'a>(text: &'a str, runs: &[Range<usize>], found: &mut Found<'a>) {
    // Every position's next four characters in one number, the position below them: one sort brings
    // equal grams of every length together.
    let mut starts: Vec<u32> = Vec::new();
    let mut chars: Vec<u32> = Vec::new();
    for run in runs {
        for (offset, c) in text[run.clone()].char_indices() {
            // 0 ends a segment: no gram spans it.
            let outside = !is_han(c) || FUNCTION.contains(c);
            chars.push(if outside { 0 } else { c as u32 });
            starts.push((run.start + offset) as u32);
        }
        chars.push(0);
        starts.push(run.end as u32);
    }
    let mut grams: Vec<u128> = Vec::with_capacity(chars.len());
    for at in 0..chars.len() {
        let mut packed = 0u128;
        let mut ended = false;
        for offset in 0..GRAM {
            let c = chars.get(at + offset).copied().unwrap_or(0);
            ended |= c == 0;
            packed = packed << CHAR_BITS | u128::from(if ended { 0 } else { c });
        }
        if packed != 0 {
            grams.push(packed << 32 | at as u128);
        }
    }
    grams.sort_unstable();

    // Longest first, so that a part knows the whole.
    let mut kept: Vec<(Vec<u32>, u32)> = Vec::new();
    for length in (2..=GRAM).rev() {
        let shift = 32 + CHAR_BITS * (GRAM - length) as u32;
        for group in grams.chunk_by(|a, b| a >> shift == b >> shift) {
            let count = group.len() as u32;
            let at = (group[0] & u128::from(u32::MAX)) as usize;
            let Some(gram) = chars.get(at..at + length) else { continue };
            if count < 2 || gram.contains(&0) {
                continue;
            }
            let part = |(whole, times): &(Vec<u32>, u32)| {
                *times >= count && whole.windows(length).any(|w| w == gram)
            };
            if kept.iter().any(part) {
                continue;
            }
            kept.push((gram.to_vec(), count));
            let piece = &text[starts[at] as usize..starts[at + length] as usize];
            let idle = piece.ends_with(|c| FUNCTION_AT_END.contains(c))
                || piece.chars().any(|c| COUNTING.contains(c)) && piece.chars().count() == 2;
            if !idle {
                found.add(piece, ConceptKind::Term, count, 12 * length as u64);
            }
        }
    }
}

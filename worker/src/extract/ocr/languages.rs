//! What to do next about a picture: look how it stands, read it in some language, or keep what was read. Does nothing of
//! it itself.
//!
//! A read costs half a CPU-second and looking half of that, so that a page is read at once in the language that is
//! likeliest, and the words themselves say whether that was right: the models of one script are sure of less than three
//! quarters of another's words, or of ones that stand on their head. Languages of one script they do not tell apart so:
//! English sees 90 % of a German page, without its umlauts. There the text says which language it is.

use docmill_core::language::{self, Language};

use crate::extract::OcrLanguages;
use crate::extract::tesseract::Script;

/// From this mean confidence in its words on, in percent, a page was read in the right script: right ones have 85 to 95,
/// also on noisy scans, wrong ones at most 77.
const CONFIDENCE_SURE: i32 = 80;

/// A page that nothing reads better than this says nothing of the pages after it.
const CONFIDENCE_FAIR: i32 = 60;

/// By so much a page may be worse than the one before, and still be read as that was: a bad copy is bad on every page.
const CONFIDENCE_SLACK: i32 = 15;

/// With fewer letters than this, confidence means nothing.
const LETTERS_MIN: usize = 12;

/// From this confidence on a script is more than a guess. Latin is still taken for one with much code on the page, and Han
/// for Japanese.
const SCRIPT_CONFIDENCE_MIN: f32 = 2.0;

/// Below this a page is not turned: upside-down text that was not is lost.
const TURN_CONFIDENCE_MIN: f32 = 2.0;

/// How sure a part of a text must be of its language to count.
const LANGUAGE_CONFIDENCE_MIN: f32 = 0.5;

/// A text of this many bytes is asked for its language in three places: one of them may be a table or a listing.
const LONG_TEXT_BYTES: usize = 1_500;

/// Most times that a picture is read.
const READS_MAX: usize = 4;

/// How names of models begin whose signs are as high as their lines.
const FULL_HEIGHT: &[&str] = &["jpn", "chi_", "kor"];

/// Models by script, the script's own first; those that are not installed are left out.
const SCRIPTS: &[(&str, &[&str])] = &[
    ("Latin", &["eng", "deu", "fra", "spa"]),
    ("Fraktur", &["deu", "eng"]),
    ("Cyrillic", &["rus", "eng"]),
    ("Japanese", &["jpn", "eng"]),
    ("Hiragana", &["jpn", "eng"]),
    ("Katakana", &["jpn", "eng"]),
    ("Han", &["chi_sim", "eng"]),
    ("Korean", &["kor", "eng"]),
    ("Hangul", &["kor", "eng"]),
    ("Greek", &["ell", "eng"]),
    ("Arabic", &["ara", "eng"]),
    ("Hebrew", &["heb", "eng"]),
];

/// Scripts that are tried when nothing else is known. East Asian ones early: they are what is taken for Latin.
const USUAL_SCRIPTS: &[&str] = &["Latin", "Han", "Japanese", "Cyrillic", "Korean"];

/// Models by language. Of scripts that hardly a text is without Latin words in, English goes with each: alone, Russian
/// reads 72 to 86 of 100 words of a manual, and with it 97.
const LANGUAGES: &[(&str, &[&str])] = &[
    ("en", &["eng"]),
    ("de", &["deu"]),
    ("fr", &["fra"]),
    ("es", &["spa"]),
    ("pt", &["por"]),
    ("it", &["ita"]),
    ("nl", &["nld"]),
    ("sv", &["swe"]),
    ("da", &["dan"]),
    ("nb", &["nor"]),
    ("fi", &["fin"]),
    ("pl", &["pol"]),
    ("cs", &["ces"]),
    ("sk", &["slk"]),
    ("hu", &["hun"]),
    ("ro", &["ron"]),
    ("tr", &["tur"]),
    ("vi", &["vie"]),
    ("id", &["ind"]),
    ("hr", &["hrv"]),
    ("ru", &["rus", "eng"]),
    ("uk", &["ukr", "eng"]),
    ("bg", &["bul", "eng"]),
    ("sr", &["srp", "eng"]),
    ("el", &["ell", "eng"]),
    ("ar", &["ara", "eng"]),
    ("he", &["heb", "eng"]),
    ("hi", &["hin", "eng"]),
    ("th", &["tha", "eng"]),
    ("ja", &["jpn", "eng"]),
    ("zh", &["chi_sim", "eng"]),
    ("ko", &["kor", "eng"]),
];

/// What is known of a document before its next page is read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Known {
    /// Models, as Tesseract names them: `jpn+eng`.
    pub models: Option<String>,
    /// How the page before stood, in degrees clockwise.
    pub turn: i32,
    /// How sure the words of the page before were.
    pub confidence: Option<i32>,
}

/// What came of looking how a picture stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Looked {
    /// Nobody has looked.
    #[default]
    NotYet,
    /// It could not be told.
    InVain,
    /// It was told.
    Found(Script),
}

/// One read of a picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Read {
    pub models: String,
    pub turn: i32,
    /// Mean over its words, in percent.
    pub confidence: i32,
    pub letters: usize,
    /// Which language the text is in, where it can be told.
    pub language: Option<Language>,
}

impl Read {
    /// What a read gave.
    pub fn new(models: String, turn: i32, text: &str, confidence: i32) -> Self {
        Self { models, turn, confidence, letters: letters(text), language: spoken(&parts(text)) }
    }

    /// Whether the picture has been read well enough, after a page that was read with this confidence.
    fn suffices(&self, before: Option<i32>) -> bool {
        let enough =
            before.map_or(CONFIDENCE_SURE, |before| CONFIDENCE_SURE.min(before - CONFIDENCE_SLACK));
        self.letters >= LETTERS_MIN && self.confidence >= enough
    }

    fn has_model(&self, model: &str) -> bool {
        self.models.split('+').any(|one| one == model)
    }
}

/// What to do next about a picture.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Find out how it stands and in which script it is.
    Look,
    /// Read it with these models, turned by so many degrees.
    Read { models: String, turn: i32 },
    /// Keep this one of the reads.
    Keep(usize),
    /// Give up: no model of any language is installed.
    NoModel,
}

/// Decides by what is known of the document and what was done about the picture so far. `has` tells which models are
/// installed.
pub(super) fn next(
    asked: &OcrLanguages,
    known: &Known,
    looked: &Looked,
    reads: &[Read],
    has: &dyn Fn(&str) -> bool,
) -> Step {
    let Some(best) = best_of(reads) else {
        return match first_models(asked, known, has) {
            Some(models) => Step::Read { models, turn: known.turn },
            None => Step::NoModel,
        };
    };
    if reads.len() >= READS_MAX {
        return Step::Keep(best);
    }
    let read = &reads[best];
    if read.suffices(known.confidence) {
        return match models_of_text(asked, read, reads, has) {
            Some(models) => Step::Read { models, turn: read.turn },
            None => Step::Keep(best),
        };
    }
    let script = match looked {
        Looked::NotYet if has("osd") => return Step::Look,
        Looked::NotYet | Looked::InVain => None,
        Looked::Found(script) => Some(script),
    };
    // A photograph, or hardly a word: no other model finds more in it.
    if script.is_none() && read.letters < LETTERS_MIN {
        return Step::Keep(best);
    }
    let stands = script.filter(|script| script.degrees_confidence >= TURN_CONFIDENCE_MIN);
    let turn = stands.map_or(known.turn, |script| script.degrees);
    let is_new = |models: &String| !reads.iter().any(|read| read.models == *models && read.turn == turn);
    match candidates(asked, known, script, has).into_iter().find(is_new) {
        Some(models) => Step::Read { models, turn },
        None => Step::Keep(best),
    }
}

/// What the next page of a document begins with, after a read that was kept.
pub(super) fn learnt(known: &Known, kept: &Read) -> Known {
    if kept.letters < LETTERS_MIN || kept.confidence < CONFIDENCE_FAIR {
        return known.clone();
    }
    Known { models: Some(kept.models.clone()), turn: kept.turn, confidence: Some(kept.confidence) }
}

/// The models of the language that most of these texts are in.
pub(super) fn models_of_texts(texts: &[&str], has: &dyn Fn(&str) -> bool) -> Option<String> {
    models_of_language(spoken(texts)?, has)
}

/// The surest read; the first of two that are as sure. One of hardly a word is none beside a fair one with more of them.
fn best_of(reads: &[Read]) -> Option<usize> {
    let is_text = |read: &Read| read.letters >= LETTERS_MIN && read.confidence >= CONFIDENCE_FAIR;
    (0..reads.len()).rev().max_by_key(|&at| (is_text(&reads[at]), reads[at].confidence))
}

fn first_models(asked: &OcrLanguages, known: &Known, has: &dyn Fn(&str) -> bool) -> Option<String> {
    match asked {
        OcrLanguages::Fixed(models) => Some(models.clone()),
        OcrLanguages::Auto => known
            .models
            .clone()
            .or_else(|| USUAL_SCRIPTS.iter().find_map(|script| models_of_script(script, has))),
    }
}

/// Other models for a page that was read, where its text is in a language that these were not for.
fn models_of_text(
    asked: &OcrLanguages,
    read: &Read,
    reads: &[Read],
    has: &dyn Fn(&str) -> bool,
) -> Option<String> {
    if *asked != OcrLanguages::Auto {
        return None;
    }
    let models = models_of_language(read.language?, has)?;
    let own = models.split('+').next().unwrap_or_default();
    let is_tried = reads.iter().any(|read| read.models == models);
    (!read.has_model(own) && !is_tried).then_some(models)
}

/// Models to try, likeliest first: of a sure script; of what was known before; of a guessed script; and then the others.
fn candidates(
    asked: &OcrLanguages,
    known: &Known,
    script: Option<&Script>,
    has: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    if let OcrLanguages::Fixed(models) = asked {
        return vec![models.clone()];
    }
    let named = |name: &str| models_of_script(name, has);
    let is_sure = script.is_some_and(|script| script.confidence >= SCRIPT_CONFIDENCE_MIN);
    let seen = script.and_then(|script| named(&script.name));
    let (sure, guessed) = if is_sure { (seen, None) } else { (None, seen) };
    let likely = [sure, known.models.clone(), guessed];
    let mut candidates: Vec<String> = Vec::new();
    for models in likely.into_iter().flatten().chain(USUAL_SCRIPTS.iter().filter_map(|name| named(name))) {
        if !candidates.contains(&models) {
            candidates.push(models);
        }
    }
    candidates
}

/// Whether a text is too short to judge a read by.
pub(super) fn is_hardly_a_word(text: &str) -> bool {
    letters(text) < LETTERS_MIN
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

/// Whether these models are for signs that fill their lines. Tesseract's own estimate of a resolution takes lines for those of
/// small letters: it lays out tables and print of fixed width in letters better than the true resolution does, and
/// columns of such signs worse (ADR 18).
pub(super) fn fill_their_lines(models: &str) -> bool {
    models.split('+').any(|model| FULL_HEIGHT.iter().any(|of| model.starts_with(of)))
}

/// The models of a script: of Latin a single one, as the text tells which; of others also English.
fn models_of_script(name: &str, has: &dyn Fn(&str) -> bool) -> Option<String> {
    let row = SCRIPTS.iter().find(|(script, _)| *script == name).unwrap_or(&SCRIPTS[0]);
    let is_latin = matches!(row.0, "Latin" | "Fraktur");
    let count = if is_latin { 1 } else { 2 };
    let installed: Vec<&str> = row.1.iter().copied().filter(|model| has(model)).take(count).collect();
    // With only the fallback left, a page in another script would come out as noise.
    let fits = is_latin || installed.first() == row.1.first();
    (!installed.is_empty() && fits).then(|| installed.join("+"))
}

fn models_of_language(language: Language, has: &dyn Fn(&str) -> bool) -> Option<String> {
    let (_, models) = LANGUAGES.iter().find(|(code, _)| *code == language.code())?;
    let installed: Vec<&str> = models.iter().copied().filter(|model| has(model)).collect();
    (installed.first() == models.first()).then(|| installed.join("+"))
}

/// The language that more than half of these texts are in, each of them being sure.
fn spoken(texts: &[&str]) -> Option<Language> {
    let sure: Vec<Language> = texts
        .iter()
        .map(|text| language::detect(text))
        .filter(|found| found.language != Language::UND && found.confidence >= LANGUAGE_CONFIDENCE_MIN)
        .map(|found| found.language)
        .collect();
    let count = |language: &Language| sure.iter().filter(|&other| other == language).count();
    sure.iter().copied().find(|language| count(language) * 2 > texts.len())
}

/// Where a text is asked for its language: all of a short one, three parts of a long one.
fn parts(text: &str) -> Vec<&str> {
    if text.len() < LONG_TEXT_BYTES {
        return vec![text];
    }
    (0..3).map(|third| &text[text.floor_char_boundary(text.len() / 3 * third)..]).collect()
}

#[cfg(test)]
mod tests;

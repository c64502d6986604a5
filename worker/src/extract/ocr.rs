//! Recognises pages: makes a picture of a page, looks whether there is anything on it and whether it was seen before, and
//! reads it, in the languages and the way up that suit it. The recogniser itself is behind `tesseract`.

mod ink;
mod languages;
mod need;
mod pale;
mod plain;
mod render;
mod scan;
mod seen;
mod smaller;

use docmill_core::page::PageReason;
use pdfium_render::prelude::*;

use super::emit::clean;
use super::tesseract::{Engine, Grey, Tesseract};
use super::{ExtractOptions, OcrLanguages, spent};
use languages::{Known, Looked, Read, Step};
pub(super) use need::{Need, Why, of_page as need_of};
use render::{Canvas, Size, Turnable};
pub(super) use render::{PIXELS_MAX, luma, paint};
use scan::Scans;
use seen::{Memory, Place, Seen};
pub(super) use smaller::{Part, smaller};

/// Pages with text of their own that are asked for the language before a page without is read.
const HEARD_MAX: usize = 3;

/// Bytes of each: a few sentences.
const HEARD_BYTES: usize = 600;

/// A picture of a page.
pub(super) struct Picture {
    pub grey: Grey,
    /// Its resolution, in dots per inch.
    pub dpi: u32,
}

/// What a picture is read for.
pub(super) struct Ask<'a> {
    pub languages: &'a OcrLanguages,
    /// Why, for the page's note.
    pub why: &'a Why,
    /// The page as the document counts them, for the notes of others with the same picture.
    pub page: u32,
}

/// What was read from a page.
pub(super) struct Found {
    pub text: String,
    /// The page's note.
    pub note: String,
}

/// Why a page was not recognised.
pub(super) enum Unrecognised {
    /// There is no recogniser, for this page or any other.
    NoRecogniser(String),
    /// This page failed.
    Page(String),
}

impl Unrecognised {
    /// The page's note.
    pub fn note(&self, why: &Why) -> String {
        match self {
            Self::NoRecogniser(cause) => PageReason::OcrMissing.note(format!("{cause}; {}", why.detail)),
            Self::Page(cause) => PageReason::OcrFailed.note(format!("{cause}; {}", why.detail)),
        }
    }
}

/// Tells of the bytes of a picture what the file says of it, where that can be found.
pub(super) type Dictionaries<'a> = dyn Fn(&[u8]) -> Option<Vec<u8>> + 'a;

/// Makes a picture of a page and reads it.
pub(super) fn recognise(
    recogniser: &mut Recogniser,
    page: &PdfPage<'_>,
    options: &ExtractOptions,
    ask: &Ask<'_>,
    dictionaries: &Dictionaries<'_>,
) -> Result<Found, Unrecognised> {
    recogniser.tesseract()?;
    let before = spent::so_far();
    let picture = recogniser.picture(page, options, dictionaries);
    recogniser.spent.pictures += spent::since(before);
    recogniser.read(&picture.map_err(Unrecognised::Page)?, ask)
}

/// Tesseract with its open engines, opened when first needed, and what was learnt.
#[derive(Default)]
pub(super) struct Recogniser {
    tesseract: Option<Result<Tesseract, String>>,
    /// The engine that looks how a page stands; none where it does not start.
    scripts: Option<Option<Engine>>,
    /// The engine of the last models: most documents have one, and each costs 100 MB.
    text: Option<(String, Engine)>,
    scans: Scans,
    canvas: Canvas,
    seen: Seen,
    spent: spent::Spent,
    /// Counts documents.
    document: u64,
    known: Known,
    /// Pieces of pages that have text of their own, since the last page that was read.
    heard: Vec<String>,
}

impl Recogniser {
    /// Begins a document.
    pub fn begin_document(&mut self) {
        self.document += 1;
        self.begin_part();
    }

    /// Forgets what was learnt of the pages before, so that the text of these does not depend on them.
    pub fn begin_part(&mut self) {
        self.known = Known::default();
        self.heard.clear();
    }

    /// Hears the text of a page that is not recognised: the next one that is will be in its language.
    pub fn hear(&mut self, text: &str) {
        // From the middle: pages begin with what is the same in all languages.
        let from = text.floor_char_boundary(text.len() / 3);
        let piece = &text[from..text.floor_char_boundary(from + HEARD_BYTES)];
        if self.heard.len() == HEARD_MAX {
            self.heard.rotate_left(1);
            self.heard.pop();
        }
        self.heard.push(piece.to_owned());
    }

    /// CPU time of the pages so far.
    #[cfg(feature = "testing")]
    pub fn spent(&self) -> spent::Spent {
        self.spent
    }

    /// A picture of a page, by the shorter way where there is one.
    fn picture(
        &mut self,
        page: &PdfPage<'_>,
        options: &ExtractOptions,
        dictionaries: &Dictionaries<'_>,
    ) -> Result<Picture, String> {
        let size = Size::of(page, options.limits.ocr_dpi)?;
        match self.scans.picture(page, &size, dictionaries) {
            Some(picture) => Ok(picture),
            None => self.canvas.draw(page, &size),
        }
    }

    fn tesseract(&mut self) -> Result<&Tesseract, Unrecognised> {
        let tesseract = self.tesseract.get_or_insert_with(Tesseract::load);
        tesseract.as_ref().map_err(|why| Unrecognised::NoRecogniser(why.clone()))
    }

    fn has(&self, model: &str) -> bool {
        matches!(&self.tesseract, Some(Ok(tesseract)) if tesseract.has(model))
    }

    /// Reads a picture.
    pub fn read(&mut self, picture: &Picture, ask: &Ask<'_>) -> Result<Found, Unrecognised> {
        self.tesseract()?;
        if !ink::is_there(&picture.grey, picture.dpi) {
            return Ok(Found { text: String::new(), note: PageReason::Blank.note(&ask.why.detail) });
        }
        self.listen();
        let name = seen::name_of(picture);
        let here = Place { document: self.document, page: ask.page };
        let mut memory = self.seen.take(&name).unwrap_or_else(|| Memory::new(name, here));
        let before = memory.reads.len();
        let kept = self.read_with(picture, ask.languages, &mut memory);
        let outcome = kept.map(|kept| {
            self.known = languages::learnt(&self.known, &memory.reads[kept].0);
            let first = (memory.reads.len() == before).then_some(memory.first);
            found(&memory.reads[kept], ask.why, first, self.document)
        });
        self.seen.put(memory);
        outcome
    }

    /// Makes models of what was heard.
    fn listen(&mut self) {
        let heard: Vec<&str> = self.heard.iter().map(String::as_str).collect();
        let models = languages::models_of_texts(&heard, &|model: &str| self.has(model));
        if models.is_some() {
            self.known.models = models;
        }
        self.heard.clear();
    }

    /// Does about a picture what is to be done, unless it was done before. Gives the read that is kept, by its place in
    /// what is remembered.
    fn read_with(
        &mut self,
        picture: &Picture,
        asked: &OcrLanguages,
        memory: &mut Memory,
    ) -> Result<usize, Unrecognised> {
        let mut turnable = Turnable::new(&picture.grey);
        let (mut looked, mut reads): (_, Vec<Read>) = (Looked::NotYet, Vec::new());
        loop {
            let has = |model: &str| self.has(model);
            let step = languages::next(asked, &self.known, &looked, &reads, &has);
            match step {
                Step::Look => {
                    if memory.looked == Looked::NotYet {
                        let before = spent::so_far();
                        memory.looked = self.look(picture);
                        self.spent.recogniser += spent::since(before);
                    }
                    looked = memory.looked.clone();
                }
                Step::Read { models, turn } => {
                    if memory.read(&models, turn).is_none() {
                        let upright = turnable.upright(turn);
                        let before = spent::so_far();
                        let (text, confidence) = self.read_in(&models, upright, picture.dpi)?;
                        self.spent.recogniser += spent::since(before);
                        let read = Read::new(models.clone(), turn, &text, confidence);
                        memory.reads.push((read, text));
                    }
                    reads.extend(memory.read(&models, turn).map(|(read, _)| read.clone()));
                }
                Step::Keep(at) => {
                    let kept = memory.reads.iter().position(|(read, _)| *read == reads[at]);
                    return kept.ok_or_else(|| Unrecognised::Page("nothing was read".to_owned()));
                }
                Step::NoModel => {
                    let cause = "no model of a language is installed".to_owned();
                    return Err(Unrecognised::NoRecogniser(cause));
                }
            }
        }
    }

    fn look(&mut self, picture: &Picture) -> Looked {
        let Some(Ok(tesseract)) = &self.tesseract else { return Looked::InVain };
        let engine = self.scripts.get_or_insert_with(|| tesseract.engine("osd").ok());
        let script =
            engine.as_ref().and_then(|engine| tesseract.script(engine, &picture.grey, picture.dpi));
        script.map_or(Looked::InVain, Looked::Found)
    }

    fn read_in(&mut self, models: &str, image: &Grey, dpi: u32) -> Result<(String, i32), Unrecognised> {
        let Some(Ok(tesseract)) = &self.tesseract else {
            return Err(Unrecognised::NoRecogniser("Tesseract is not loaded".to_owned()));
        };
        if self.text.as_ref().is_none_or(|(open, _)| open != models) {
            if let Some((_, engine)) = self.text.take() {
                tesseract.close(engine);
            }
            let engine = tesseract.engine(models).map_err(Unrecognised::NoRecogniser)?;
            self.text = Some((models.to_owned(), engine));
        }
        let Some((_, engine)) = &self.text else {
            return Err(Unrecognised::Page("no engine is open".to_owned()));
        };
        let read = |dpi| tesseract.recognise(engine, image, dpi).map_err(Unrecognised::Page);
        if languages::fill_their_lines(models) {
            return read(Some(dpi));
        }
        let (text, confidence) = read(None)?;
        // Where there are no lines to estimate it from, specks become words.
        if languages::is_hardly_a_word(&text) { read(Some(dpi)) } else { Ok((text, confidence)) }
    }
}

/// A page's text and note. `first` is where its picture was seen first, if nothing had to be read anew.
fn found((read, text): &(Read, String), why: &Why, first: Option<Place>, document: u64) -> Found {
    let turn = if read.turn == 0 { String::new() } else { format!(", turned by {} degrees", read.turn) };
    let how = format!("read as {}{turn}", read.models);
    let detail = &why.detail;
    // What is nothing but control characters and soft hyphens is no block of a page.
    if clean(text).is_empty() {
        return Found { text: String::new(), note: PageReason::NoWords.note(format!("{how}; {detail}")) };
    }
    let how = format!("{how}, word confidence {} %; {detail}", read.confidence);
    let note = match first {
        Some(first) if first.document == document => {
            PageReason::Seen.note(format!("the same picture as on page {}, {how}", first.page))
        }
        Some(_) => PageReason::Seen.note(format!("the same picture as in another document, {how}")),
        None => why.reason.note(how),
    };
    Found { text: text.clone(), note }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(text: &str, turn: i32, first: Option<Place>) -> String {
        let why = Why { reason: PageReason::Scan, detail: "image covers 100 % of the page".to_owned() };
        let read = Read::new("rus+eng".to_owned(), turn, text, 94);
        found(&(read, text.to_owned()), &why, first, 7).note
    }

    #[test]
    fn notes_say_how_a_page_was_read_and_why() {
        let covers = "image covers 100 % of the page";
        let how = "read as rus+eng, word confidence 94 %";
        assert_eq!(note("text", 0, None), format!("scan: {how}; {covers}"));
        assert_eq!(
            note(" \n", 90, None),
            format!("no_words: read as rus+eng, turned by 90 degrees; {covers}")
        );
        assert!(note("\u{ad}\u{c}\n", 0, None).starts_with("no_words: "));
        let here = Some(Place { document: 7, page: 3 });
        // Whether it was seen before says less than that nothing was on it.
        assert!(note("", 0, here).starts_with("no_words: "));
        assert_eq!(note("text", 0, here), format!("seen: the same picture as on page 3, {how}; {covers}"));
        let elsewhere = Some(Place { document: 6, page: 3 });
        let expected = format!("seen: the same picture as in another document, {how}; {covers}");
        assert_eq!(note("text", 0, elsewhere), expected);
    }

    #[test]
    fn the_last_pages_with_text_are_heard() {
        let mut recogniser = Recogniser::default();
        for text in ["ä".repeat(3_000).as_str(), "", "b", "c"] {
            recogniser.hear(text);
        }
        assert_eq!(recogniser.heard, ["", "b", "c"]);
        recogniser.hear(&"ä".repeat(3_000));
        assert_eq!(recogniser.heard[2].len(), HEARD_BYTES);
        recogniser.begin_document();
        assert!(recogniser.heard.is_empty());
    }

    #[test]
    fn every_cause_has_its_note() {
        let why = Why { reason: PageReason::Scan, detail: "no letters".to_owned() };
        let missing = Unrecognised::NoRecogniser("Tesseract is not installed".to_owned());
        assert_eq!(missing.note(&why), "ocr_missing: Tesseract is not installed; no letters");
        let failed = Unrecognised::Page("it cannot be rendered".to_owned());
        assert_eq!(failed.note(&why), "ocr_failed: it cannot be rendered; no letters");
    }
}

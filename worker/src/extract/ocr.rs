//! Which pages are recognised, in which languages, and how a page becomes a picture.
//! The recogniser itself is behind `tesseract`.

use pdfium_render::prelude::*;

use super::tesseract::{Engine, Grey, Script, Tesseract};
use super::{ExtractOptions, OcrLanguages};

/// Most pixels of a picture: an A4 page at 550 dpi. Larger pages are rendered at a lower resolution.
const PIXELS_MAX: f32 = 40_000_000.0;

/// A page with fewer letters than this has no usable text, if it is mostly pictures.
const LETTERS_MIN: usize = 32;

/// Below this a script is a guess: it is right about Latin and Cyrillic from 1 on, but takes Han for Japanese.
const SCRIPT_CONFIDENCE_MIN: f32 = 2.0;

/// From this mean confidence in its words on, in percent, a page was read in the right languages.
const WORDS_CONFIDENCE_MIN: i32 = 75;

/// Below this the page is not turned: upside-down text that was not is lost.
const TURN_CONFIDENCE_MIN: f32 = 2.0;

/// Most languages that one page is tried in.
const CANDIDATES_MAX: usize = 4;

/// Languages by script, best first; those without an installed model are left out.
const SCRIPT_LANGUAGES: &[(&str, &[&str])] = &[
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

/// Why a page needs recognition, or `None` when its own text will do.
pub(super) fn why_needed(page: &PdfPage<'_>, text: &str) -> Option<String> {
    let (mut letters, mut visible, mut unmapped) = (0, 0usize, 0usize);
    for c in text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\u{2}' | '\u{fffe}')) {
        visible += 1;
        letters += usize::from(c.is_alphanumeric());
        unmapped += usize::from(
            matches!(c, '\u{fffd}' | '\u{e000}'..='\u{f8ff}' | '\0'..='\u{1f}' | '\u{f0000}'..),
        );
    }
    if visible >= LETTERS_MIN && unmapped * 10 > visible * 3 {
        return Some(format!("{} % of the characters have no meaning", unmapped * 100 / visible));
    }
    if letters >= LETTERS_MIN {
        return None;
    }
    // Looked at only now: it costs more than the text.
    let covered = covered_percent(page);
    (covered > 50).then(|| format!("image covers {covered} % of the page, {letters} letters"))
}

fn covered_percent(page: &PdfPage<'_>) -> u32 {
    let (width, height) = (page.width().value, page.height().value);
    let area = |object: &PdfPageObject<'_>| {
        let bounds = object.bounds().ok()?;
        let across = bounds.right().value.min(width) - bounds.left().value.max(0.0);
        let down = bounds.top().value.min(height) - bounds.bottom().value.max(0.0);
        Some(across.max(0.0) * down.max(0.0))
    };
    // Pictures may hide in forms; a form as large as the page with nothing readable in it counts too.
    let is_picture = |object: &PdfPageObject<'_>| {
        matches!(object.object_type(), PdfPageObjectType::Image | PdfPageObjectType::XObjectForm)
    };
    let covered: f32 = page.objects().iter().filter(is_picture).filter_map(|object| area(&object)).sum();
    (covered / (width * height).max(1.0) * 100.0).clamp(0.0, 100.0) as u32
}

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
    pub reason: &'a str,
}

/// Renders a page and reads it.
pub(super) fn recognise(
    recogniser: &mut Recogniser,
    page: &PdfPage<'_>,
    options: &ExtractOptions,
    reason: &str,
) -> Result<Found, Unrecognised> {
    recogniser.is_there()?;
    let picture = render(page, options.limits.ocr_dpi).map_err(Unrecognised::Page)?;
    recogniser.read(&picture, &Ask { languages: &options.languages, reason })
}

/// What was read from a page.
pub(super) struct Found {
    pub text: String,
    pub note: String,
}

/// Why a page was not recognised.
pub(super) enum Unrecognised {
    /// There is no recogniser, for this page or any other.
    NoRecogniser(String),
    /// This page failed.
    Page(String),
}

/// Tesseract with its open engines; opened when first needed.
#[derive(Default)]
pub(super) struct Recogniser {
    tesseract: Option<Result<Tesseract, String>>,
    scripts: Option<Engine>,
    /// The engine of the last languages: most documents have one, and each costs 100 MB.
    text: Option<(String, Engine)>,
    /// What the last page of this document was read in.
    languages: Option<String>,
}

impl Recogniser {
    /// Forgets what was learnt from the document before.
    pub fn begin_document(&mut self) {
        self.languages = None;
    }

    /// Says why there is no recogniser at all, before a picture is made for it.
    pub fn is_there(&mut self) -> Result<(), Unrecognised> {
        let tesseract = self.tesseract.get_or_insert_with(Tesseract::load);
        tesseract.as_ref().map(|_| ()).map_err(|why| Unrecognised::NoRecogniser(why.clone()))
    }

    /// Reads a picture.
    pub fn read(&mut self, picture: &Picture, ask: &Ask<'_>) -> Result<Found, Unrecognised> {
        let tesseract = self.tesseract.get_or_insert_with(Tesseract::load);
        let tesseract = tesseract.as_ref().map_err(|why| Unrecognised::NoRecogniser(why.clone()))?;
        let (mut image, dpi) = (&picture.grey, picture.dpi);
        let mut script = None;
        if tesseract.has("osd") {
            if self.scripts.is_none() {
                self.scripts = tesseract.engine("osd").ok();
            }
            script = self.scripts.as_ref().and_then(|engine| tesseract.script(engine, image, dpi));
        }
        let turn = script
            .as_ref()
            .filter(|s| s.degrees_confidence >= TURN_CONFIDENCE_MIN)
            .map_or(0, |s| s.degrees);
        let upright;
        if turn != 0 {
            upright = turned(image, turn);
            image = &upright;
        }
        let candidates = match ask.languages {
            OcrLanguages::Fixed(languages) => vec![languages.clone()],
            OcrLanguages::Auto => self.candidates(script.as_ref()),
        };
        if candidates.is_empty() {
            return Err(Unrecognised::NoRecogniser("no model for its script is installed".to_owned()));
        }
        let mut best: Option<(String, String, i32)> = None;
        for languages in candidates {
            let (text, confidence) = self.read_in(&languages, image, dpi)?;
            if best.as_ref().is_none_or(|best| confidence > best.2) {
                best = Some((languages, text, confidence));
            }
            if confidence >= WORDS_CONFIDENCE_MIN {
                break;
            }
        }
        let Some((languages, text, confidence)) = best else {
            return Err(Unrecognised::Page("nothing was tried".to_owned()));
        };
        self.languages = Some(languages.clone());
        let script = match script {
            Some(script) => format!("script {} (confidence {:.1})", script.name, script.confidence),
            None => "script not told".to_owned(),
        };
        let turn = if turn == 0 { String::new() } else { format!(", turned by {turn} degrees") };
        let reason = ask.reason;
        let note = format!("ocr: {languages}, {script}{turn}, {reason}, word confidence {confidence} %");
        Ok(Found { text, note })
    }

    /// Languages to try, likeliest first: with a sure script its own; else those that the last page could be
    /// read in, the guess, and then the others, until one gives words with confidence.
    fn candidates(&self, script: Option<&Script>) -> Vec<String> {
        let Some(Ok(tesseract)) = &self.tesseract else { return Vec::new() };
        let named = |name: &str| languages_for(name, |language| tesseract.has(language));
        if let Some(sure) = script.filter(|script| script.confidence >= SCRIPT_CONFIDENCE_MIN) {
            return named(&sure.name).into_iter().collect();
        }
        let guess = script.map(|script| script.name.as_str());
        let others =
            guess.into_iter().chain(["Latin", "Cyrillic", "Han", "Japanese", "Korean"]).filter_map(named);
        let mut candidates: Vec<String> = Vec::new();
        for languages in self.languages.clone().into_iter().chain(others) {
            if !candidates.contains(&languages) {
                candidates.push(languages);
            }
        }
        // Each costs as much as a page.
        candidates.truncate(CANDIDATES_MAX);
        candidates
    }

    fn read_in(&mut self, languages: &str, image: &Grey, dpi: u32) -> Result<(String, i32), Unrecognised> {
        let Some(Ok(tesseract)) = &self.tesseract else {
            return Err(Unrecognised::NoRecogniser("Tesseract is not loaded".to_owned()));
        };
        if self.text.as_ref().is_none_or(|(open, _)| open != languages) {
            if let Some((_, engine)) = self.text.take() {
                tesseract.close(engine);
            }
            let engine = tesseract.engine(languages).map_err(Unrecognised::NoRecogniser)?;
            self.text = Some((languages.to_owned(), engine));
        }
        let Some((_, engine)) = &self.text else {
            return Err(Unrecognised::Page("no engine is open".to_owned()));
        };
        tesseract.recognise(engine, image, dpi).map_err(Unrecognised::Page)
    }
}

fn languages_for(name: &str, has: impl Fn(&str) -> bool) -> Option<String> {
    let wanted = SCRIPT_LANGUAGES
        .iter()
        .find(|(script, _)| *script == name)
        .map_or(SCRIPT_LANGUAGES[0].1, |found| found.1);
    // Two models at most: each more costs its share of time for every page.
    let installed: Vec<&str> = wanted.iter().copied().filter(|language| has(language)).take(2).collect();
    // With only the fallback left, a page in another script would come out as noise.
    let fits = installed.first() == wanted.first() || name == "Latin";
    (!installed.is_empty() && fits).then(|| installed.join("+"))
}

/// A page as a grey picture.
fn render(page: &PdfPage<'_>, dpi: u32) -> Result<Picture, String> {
    let (width, height) = (page.width().value, page.height().value);
    if !(width >= 1.0 && height >= 1.0) {
        return Err(format!("the page is {width} x {height} points"));
    }
    let asked = dpi.clamp(36, 1_200) as f32;
    let dpi = asked.min((PIXELS_MAX / (width * height)).sqrt() * 72.0);
    let pixels = |points: f32| ((points * dpi / 72.0).round() as Pixels).clamp(1, 30_000);
    // Colour on white, then our own grey: pdfium traps on some pages when asked to render grey itself.
    // Form data stays on: without it the page is drawn at 72 dpi into a corner of the picture.
    let config = PdfRenderConfig::new()
        .set_fixed_size(pixels(width), pixels(height))
        .set_format(PdfBitmapFormat::BGR)
        .set_clear_color(PdfColor::WHITE);
    let bitmap =
        page.render_with_config(&config).map_err(|error| format!("it cannot be rendered: {error:?}"))?;
    let (width, height) = (bitmap.width() as usize, bitmap.height() as usize);
    let bytes = bitmap.as_raw_bytes();
    // Rows are padded to whole words.
    let stride = bytes.len() / height.max(1);
    if stride < width * 3 {
        return Err("the picture is smaller than it says".to_owned());
    }
    let mut grey = Vec::with_capacity(width * height);
    for row in bytes.chunks_exact(stride) {
        grey.extend(row[..width * 3].chunks_exact(3).map(|bgr| luma(bgr[2], bgr[1], bgr[0])));
    }
    Ok(Picture { grey: Grey { width, height, pixels: grey }, dpi: dpi.round().max(1.0) as u32 })
}

/// ITU-R 601 in whole numbers.
fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 77 + u32::from(g) * 150 + u32::from(b) * 29) >> 8) as u8
}

/// A picture that stands `degrees` clockwise, upright.
fn turned(image: &Grey, degrees: i32) -> Grey {
    let (w, h, pixels) = (image.width, image.height, &image.pixels);
    match degrees {
        180 => Grey { width: w, height: h, pixels: pixels.iter().rev().copied().collect() },
        90 => Grey {
            width: h,
            height: w,
            pixels: (0..w)
                .flat_map(|y| (0..h).map(move |x| (x, y)))
                .map(|(x, y)| pixels[(h - 1 - x) * w + y])
                .collect(),
        },
        270 => Grey {
            width: h,
            height: w,
            pixels: (0..w)
                .flat_map(|y| (0..h).map(move |x| (x, y)))
                .map(|(x, y)| pixels[x * w + (w - 1 - y)])
                .collect(),
        },
        _ => Grey { width: w, height: h, pixels: pixels.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_follow_the_script_and_what_is_installed() {
        let all = |_: &str| true;
        assert_eq!(languages_for("Japanese", all).as_deref(), Some("jpn+eng"));
        assert_eq!(languages_for("Cyrillic", all).as_deref(), Some("rus+eng"));
        assert_eq!(languages_for("Latin", |language| language == "deu").as_deref(), Some("deu"));
        assert_eq!(languages_for("Korean", |language| language == "eng"), None);
    }

    #[test]
    fn pictures_are_turned_upright() {
        // 1 2 3 turned clockwise by 90 degrees: 4 1 / 5 2 / 6 3.
        // 4 5 6
        let image = Grey { width: 3, height: 2, pixels: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(turned(&image, 90).pixels, [4, 1, 5, 2, 6, 3]);
        assert_eq!(turned(&image, 270).pixels, [3, 6, 2, 5, 1, 4]);
        assert_eq!(turned(&image, 180).pixels, [6, 5, 4, 3, 2, 1]);
    }
}

//! Decisions about pictures, played through: what a picture gives to each model was measured on scans of manuals in five
//! languages, clean, noisy and turned.

use super::*;

const DEMO: &[&str] = &["osd", "eng", "deu", "rus", "jpn", "chi_sim"];

/// A picture as the recogniser would see it.
struct Sheet {
    /// How it stands; read in any other way it gives words that nobody is sure of.
    turn: i32,
    letters: usize,
    /// What each model is sure of; another one, of 30 %.
    confidences: &'static [(&'static str, i32)],
    /// What a sure text would say it is in.
    language: Option<&'static str>,
    looked: Looked,
}

const LATIN: Sheet = Sheet {
    turn: 0,
    letters: 2_000,
    confidences: &[("eng", 94), ("deu", 93), ("chi_sim+eng", 93), ("jpn+eng", 94), ("rus+eng", 94)],
    language: Some("en"),
    looked: Looked::NotYet,
};

fn script(name: &str, confidence: f32, degrees: i32) -> Looked {
    Looked::Found(Script { name: name.to_owned(), confidence, degrees, degrees_confidence: 25.0 })
}

fn automatic() -> OcrLanguages {
    OcrLanguages::Auto
}

fn known(models: &str, confidence: i32) -> Known {
    Known { models: Some(models.to_owned()), turn: 0, confidence: Some(confidence) }
}

/// All that is done about a sheet, in order; the last is what is kept. And what is known then.
fn played(sheet: &Sheet, asked: &OcrLanguages, known: &Known, installed: &[&str]) -> (Vec<String>, Known) {
    let (mut steps, mut reads, mut looked) = (Vec::new(), Vec::new(), Looked::NotYet);
    let has = |model: &str| installed.contains(&model);
    loop {
        match next(asked, known, &looked, &reads, &has) {
            Step::Look => {
                assert_eq!(looked, Looked::NotYet, "nobody looks twice");
                looked = if sheet.looked == Looked::NotYet { Looked::InVain } else { sheet.looked.clone() };
                steps.push("look".to_owned());
            }
            Step::Read { models, turn } => {
                steps.push(if turn == 0 { models.clone() } else { format!("{models} at {turn}") });
                let sure = sheet.confidences.iter().find(|(name, _)| *name == models);
                let is_upright = turn == sheet.turn;
                let confidence = sure.filter(|_| is_upright).map_or(30, |(_, confidence)| *confidence);
                let language = sheet.language.filter(|_| is_upright).and_then(Language::parse);
                reads.push(Read { models, turn, confidence, letters: sheet.letters, language });
            }
            Step::Keep(at) => {
                steps.push(format!("keep {}", reads[at].models));
                return (steps, learnt(known, &reads[at]));
            }
            Step::NoModel => {
                steps.push("no model".to_owned());
                return (steps, known.clone());
            }
        }
        assert!(steps.len() < 10, "{steps:?}");
    }
}

fn steps(sheet: &Sheet, known: &Known) -> Vec<String> {
    played(sheet, &automatic(), known, DEMO).0
}

#[test]
fn an_upright_page_is_read_once_and_not_looked_at() {
    assert_eq!(steps(&LATIN, &Known::default()), ["eng", "keep eng"]);
    assert_eq!(steps(&LATIN, &known("eng", 94)), ["eng", "keep eng"]);
    // A page of another language reads well in any models that have it.
    assert_eq!(steps(&LATIN, &known("jpn+eng", 90)), ["jpn+eng", "keep jpn+eng"]);
}

#[test]
fn a_language_of_the_same_script_is_told_by_the_text() {
    let german = Sheet { confidences: &[("eng", 90), ("deu", 94)], language: Some("de"), ..LATIN };
    let (first, then) = played(&german, &automatic(), &Known::default(), DEMO);
    assert_eq!(first, ["eng", "deu", "keep deu"]);
    assert_eq!(then, known("deu", 94));
    assert_eq!(steps(&german, &then), ["deu", "keep deu"]);
    // Of a language without a model the best that there is.
    let french = Sheet { confidences: &[("eng", 88)], language: Some("fr"), ..LATIN };
    assert_eq!(steps(&french, &Known::default()), ["eng", "keep eng"]);
}

#[test]
fn a_page_in_another_script_is_looked_at_and_read_again() {
    let russian = Sheet {
        confidences: &[("eng", 57), ("rus+eng", 94)],
        language: Some("ru"),
        looked: script("Cyrillic", 6.9, 0),
        ..LATIN
    };
    assert_eq!(steps(&russian, &Known::default()), ["eng", "look", "rus+eng", "keep rus+eng"]);
    assert_eq!(steps(&russian, &known("rus+eng", 94)), ["rus+eng", "keep rus+eng"]);
}

#[test]
fn east_asian_pages_are_found_though_they_look_latin() {
    let chinese = Sheet {
        confidences: &[("eng", 71), ("chi_sim+eng", 90), ("jpn+eng", 77), ("rus+eng", 73)],
        language: Some("zh"),
        looked: script("Latin", 12.0, 0),
        ..LATIN
    };
    assert_eq!(steps(&chinese, &Known::default()), ["eng", "look", "chi_sim+eng", "keep chi_sim+eng"]);
    // Taken for Japanese, whose model is sure of 77 % of it: not enough.
    let taken = Sheet { looked: script("Japanese", 2.5, 0), ..chinese };
    assert_eq!(
        steps(&taken, &Known::default()),
        ["eng", "look", "jpn+eng", "chi_sim+eng", "keep chi_sim+eng"]
    );
    let japanese = Sheet {
        confidences: &[("eng", 62), ("chi_sim+eng", 64), ("jpn+eng", 91)],
        language: Some("ja"),
        looked: script("Latin", 3.4, 0),
        ..LATIN
    };
    assert_eq!(
        steps(&japanese, &Known::default()),
        ["eng", "look", "chi_sim+eng", "jpn+eng", "keep jpn+eng"]
    );
}

#[test]
fn a_turned_page_is_read_upright_and_the_next_at_once() {
    let turned = Sheet { turn: 180, looked: script("Latin", 4.0, 180), ..LATIN };
    let (first, then) = played(&turned, &automatic(), &Known::default(), DEMO);
    assert_eq!(first, ["eng", "look", "eng at 180", "keep eng"]);
    assert_eq!(then.turn, 180);
    assert_eq!(steps(&turned, &then), ["eng at 180", "keep eng"]);
    // The one after it stands upright again.
    let upright = Sheet { looked: script("Latin", 4.0, 0), ..LATIN };
    assert_eq!(steps(&upright, &then), ["eng at 180", "look", "eng", "keep eng"]);
    let russian = Sheet {
        turn: 90,
        confidences: &[("rus+eng", 93)],
        language: Some("ru"),
        looked: script("Cyrillic", 9.8, 90),
        ..LATIN
    };
    assert_eq!(steps(&russian, &Known::default()), ["eng", "look", "rus+eng at 90", "keep rus+eng"]);
}

#[test]
fn a_bad_copy_is_looked_at_on_its_first_page_alone() {
    let copy = Sheet { confidences: &[("eng", 70)], looked: script("Latin", 5.0, 0), ..LATIN };
    let (first, then) = played(&copy, &automatic(), &Known::default(), DEMO);
    assert_eq!(first.last().map(String::as_str), Some("keep eng"));
    assert_eq!(first.iter().filter(|step| *step == "look").count(), 1);
    assert_eq!(then, known("eng", 70));
    let worse = Sheet { confidences: &[("eng", 61)], ..copy };
    assert_eq!(steps(&worse, &then), ["eng", "keep eng"]);
}

#[test]
fn a_photograph_is_read_once_and_teaches_nothing() {
    let photograph = Sheet { letters: 5, confidences: &[("eng", 40)], language: None, ..LATIN };
    let (first, then) = played(&photograph, &automatic(), &known("deu", 94), DEMO);
    assert_eq!(first, ["deu", "look", "keep deu"]);
    assert_eq!(then, known("deu", 94));
    // Letters without sense: all models are tried, and none of them is known afterwards.
    let pattern = Sheet { letters: 300, confidences: &[("eng", 40)], language: None, ..LATIN };
    let (tried, then) = played(&pattern, &automatic(), &Known::default(), DEMO);
    assert_eq!(tried.len(), 2 + READS_MAX, "{tried:?}");
    assert_eq!(then, Known::default());
}

#[test]
fn one_word_that_is_sure_is_not_kept_in_place_of_a_text_that_is_fair() {
    let read = |models: &str, letters, confidence| Read {
        models: models.to_owned(),
        turn: 0,
        confidence,
        letters,
        language: None,
    };
    let (text, word) = (read("eng", 400, 72), read("chi_sim+eng", 3, 95));
    assert_eq!(best_of(&[text.clone(), word.clone()]), Some(0));
    let has = |model: &str| model == "eng" || model == "chi_sim";
    let known = Known::default();
    let step = next(&automatic(), &known, &Looked::InVain, &[text, word.clone()], &has);
    assert_eq!(step, Step::Keep(0));
    // What nobody can be sure of is no better than a word.
    assert_eq!(best_of(&[read("eng", 400, 40), word]), Some(1));
}

#[test]
fn asked_languages_are_never_guessed_only_the_turn_is() {
    let fixed = OcrLanguages::Fixed("jpn+eng".to_owned());
    let german = Sheet { confidences: &[("jpn+eng", 90)], language: Some("de"), ..LATIN };
    assert_eq!(played(&german, &fixed, &Known::default(), DEMO).0, ["jpn+eng", "keep jpn+eng"]);
    let turned = Sheet { turn: 270, looked: script("Latin", 9.0, 270), ..LATIN };
    let expected = ["jpn+eng", "look", "jpn+eng at 270", "keep jpn+eng"];
    assert_eq!(played(&turned, &fixed, &Known::default(), DEMO).0, expected);
}

#[test]
fn what_is_not_installed_is_neither_asked_for_nor_looked_with() {
    let installed = |models: &[&str]| played(&LATIN, &automatic(), &Known::default(), models).0;
    assert_eq!(installed(&["deu"]), ["deu", "keep deu"]);
    assert_eq!(installed(&["osd"]), ["no model"]);
    let poor = Sheet { confidences: &[("eng", 50)], ..LATIN };
    assert_eq!(played(&poor, &automatic(), &Known::default(), &["eng"]).0, ["eng", "keep eng"]);
    let has = |model: &str| model == "eng";
    assert_eq!(models_of_script("Korean", &has), None);
    assert_eq!(models_of_language(Language::RU, &has), None);
}

#[test]
fn models_follow_script_and_language() {
    let all = |_: &str| true;
    let script = |name| models_of_script(name, &all).unwrap_or_default();
    assert_eq!((script("Japanese"), script("Cyrillic")), ("jpn+eng".to_owned(), "rus+eng".to_owned()));
    assert_eq!((script("Latin"), script("Cherokee")), ("eng".to_owned(), "eng".to_owned()));
    let language = |language| models_of_language(language, &all).unwrap_or_default();
    assert_eq!(
        (language(Language::DE), language(Language::ZH)),
        ("deu".to_owned(), "chi_sim+eng".to_owned())
    );
    assert_eq!(models_of_language(Language::UND, &all), None);
}

#[test]
fn german_is_german_without_its_umlauts() {
    // As the English model reads it.
    let text = "Standardauswahl fiir eine Frage zu akzeptieren, driicken Sie am Prompt einfach Enter. Wenn die Antwort \
        auf eine Frage Nichts sein soll (also ein leeres Feld), tippen Sie ! ein. Méchten Sie zur vorherigen Frage \
        zuriickspringen, tippen Sie < ein. Treiberunterstiitzung fiir Hardware-Sprachausgabe-Geriite ist in allen \
        Installer-Images enthalten, die auch den grafischen Installer enthalten.";
    assert_eq!(Read::new("eng".to_owned(), 0, text, 90).language, Some(Language::DE));
    assert_eq!(Read::new("eng".to_owned(), 0, &text.repeat(9), 90).language, Some(Language::DE));
    assert_eq!(Read::new("eng".to_owned(), 0, "12.5 | 7 | ---", 90).language, None);
}

#[test]
fn the_language_of_several_texts_is_that_of_most() {
    let has = |_: &str| true;
    let german = "Wenn Sie eine Frage haben, lesen Sie bitte zuerst die Anleitung und fragen Sie dann einen Kollegen.";
    let english = "If you have a question, please read the manual first and then ask one of your colleagues about it.";
    assert_eq!(models_of_texts(&[german, english, german], &has).as_deref(), Some("deu"));
    assert_eq!(models_of_texts(&[german, english], &has), None);
    assert_eq!(models_of_texts(&[], &has), None);
}

#[test]
fn signs_of_full_height_are_known_by_their_models() {
    for models in ["jpn+eng", "chi_sim+eng", "chi_tra_vert", "eng+kor"] {
        assert!(fill_their_lines(models), "{models}");
    }
    for models in ["eng", "deu", "rus+eng", "chr"] {
        assert!(!fill_their_lines(models), "{models}");
    }
}

//! Every format of the table has a file that other people's programs made, or that this repository is made of; it is read
//! to the text that is in it. What is encrypted among them is read with a password that is given, and else says so.

use std::path::PathBuf;

use docmill_core::failure::FailureCode;
use docmill_worker::extract::{ExtractOptions, FORMATS, Format, Kind, passwords};

use crate::{cache, pool, read};

/// What all of `worker/tests/fixtures/formats` say.
const SAID: &str = "The harbour lantern burns until morning";
/// What the encrypted ones of them are encrypted with.
const PASSWORD: &str = "copper meadow";

/// What an example says.
fn says(kind: Kind) -> &'static str {
    match kind {
        Kind::Pdf => "Harmatan office-tools",
        Kind::Docx => "Some text worthy of note.",
        Kind::Xlsb => "This is a string",
        Kind::Odt => "A wonderful serenity has taken possession of my entire soul",
        Kind::Odp => "Tsvey",
        Kind::Doc => "PUBLIC COMMENTOR: Emile Monette",
        Kind::Ppt => "ARTificial Life",
        Kind::Msg | Kind::Eml => "The body is in plain text",
        Kind::Xml => "tail",
        Kind::Markdown => "docmill",
        Kind::Csv => "qpdf\tapt",
        Kind::Json => "docmill",
        Kind::Yaml => "IngestionPipeline",
        Kind::Text => "pdfplumber",
        Kind::Code => "pub mod extract",
        _ => SAID,
    }
}

/// Where an example is.
fn place(format: &Format) -> PathBuf {
    match format.example.split_once(':') {
        Some((package, path)) => cache().join("hostile").join(package).join("files").join(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(format.example),
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)
}

fn with_passwords(text: &str) -> ExtractOptions {
    ExtractOptions { passwords: passwords::parse(text).unwrap(), ..ExtractOptions::default() }
}

#[tokio::test]
async fn every_format_has_a_real_file_that_is_read() {
    let pool = pool(2, with_passwords(PASSWORD));
    for format in FORMATS {
        let file = place(format);
        // No program that writes it is at hand, and the collection that has some is large: full runs fetch it.
        if format.kind == Kind::Xlsb && !file.is_file() {
            eprintln!("{}: no {}; `cargo xtask hostile` fetches it", format.name, file.display());
            continue;
        }
        assert!(file.is_file(), "{}: no {}; `make setup` fetches it", format.name, file.display());
        let read = read(&pool, &file).await;
        assert_eq!(read.outcome, Ok(()), "{}", format.name);
        // Lines of a recognised page and cells of a row are apart; words are what counts here.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (text, wanted) = (words(&read.text()), words(says(format.kind)));
        assert!(text.contains(&wanted), "{}: {text:.300}", format.name);
        let found = &read.info.as_ref().unwrap().media_type;
        // What an OLE container, or a packed file, is, is known when it is opened.
        if !matches!(format.kind, Kind::Ole | Kind::Gzip) {
            assert_eq!(found, format.media_type, "{}", format.name);
        }
    }
}

#[tokio::test]
async fn further_names_of_a_format_are_read_too() {
    let pool = pool(1, ExtractOptions::default());
    for name in ["template.ott", "drawing.odg"] {
        assert!(read(&pool, &fixture(name)).await.text().contains(SAID), "{name}");
    }
}

#[tokio::test]
async fn what_has_a_password_is_read_with_it_and_else_says_so() {
    let (told, untold) = (pool(1, with_passwords(PASSWORD)), pool(1, ExtractOptions::default()));
    let locked = ["docx", "zip", "7z"].map(|end| format!("locked.{end}"));
    let others = ["locked-standard.docx", "locked-aes.zip", "locked-names.7z"].map(str::to_owned);
    for name in locked.iter().chain(&others) {
        assert!(read(&told, &fixture(name)).await.text().contains(SAID), "{name}");
        assert_eq!(read(&untold, &fixture(name)).await.failure().code, FailureCode::Encrypted, "{name}");
    }
}

//! The documents that extraction is measured with: PDFs and independent text of them, scans of their pages, the files that a
//! file pipeline gets, and files larger than the memory that they may take. `tests/src/bench/extract/truth.rs` reads the list.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::manual::{self, Form};
use super::scan::{self, Look};
use super::{copy_file, packages, walk};
use crate::{cache, process, setup};

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What a test run measures.
    Share,
    /// All of it.
    Whole,
}

/// A document, and the text that its package has beside it.
struct Document {
    name: &'static str,
    language: &'static str,
    package: &'static str,
    pdf: &'static str,
    text: &'static str,
}

const fn document(
    name: &'static str,
    language: &'static str,
    package: &'static str,
    pdf: &'static str,
    text: &'static str,
) -> Document {
    Document { name, language, package, pdf, text }
}

/// Only those with text of another origin: the text that a PDF itself gives would agree with whoever reads it alike.
#[rustfmt::skip]
const DOCUMENTS: &[Document] = &[
    document("policy", "en", "debian-policy", "usr/share/doc/debian-policy/policy.pdf.gz", "usr/share/doc/debian-policy/policy.txt.gz"),
    document("fhs", "en", "debian-policy", "usr/share/doc/debian-policy/fhs/fhs-3.0.pdf.gz", "usr/share/doc/debian-policy/fhs/fhs-3.0.txt.gz"),
    document("reference-en", "en", "debian-reference-en", "usr/share/debian-reference/debian-reference.en.pdf", "usr/share/debian-reference/debian-reference.en.txt.gz"),
    document("developers-en", "en", "developers-reference", "usr/share/developers-reference/developers-reference.pdf", "usr/share/developers-reference/developers-reference.txt.gz"),
    document("faq", "en", "debian-faq", "usr/share/doc/debian/FAQ/debian-faq.en.pdf.gz", "usr/share/doc/debian/FAQ/debian-faq.en.txt.gz"),
    document("reference-de", "de", "debian-reference-de", "usr/share/debian-reference/debian-reference.de.pdf", "usr/share/debian-reference/debian-reference.de.txt.gz"),
    document("developers-de", "de", "developers-reference-de", "usr/share/developers-reference/de/developers-reference.pdf", "usr/share/developers-reference/de/developers-reference.txt.gz"),
    document("install-de", "de", "installation-guide-amd64", "usr/share/doc/installation-guide-amd64/de/install.de.pdf.gz", "usr/share/doc/installation-guide-amd64/de/install.de.txt.gz"),
    document("maint-ru", "ru", "maint-guide-ru", "usr/share/doc/maint-guide-ru/maint-guide.ru.pdf", "usr/share/doc/maint-guide-ru/maint-guide.ru.txt.gz"),
    document("reference-ja", "ja", "debian-reference-ja", "usr/share/debian-reference/debian-reference.ja.pdf", "usr/share/debian-reference/debian-reference.ja.txt.gz"),
    // Its fonts are not embedded.
    document("developers-ja", "ja", "developers-reference-ja", "usr/share/developers-reference/ja/developers-reference.pdf", "usr/share/developers-reference/ja/developers-reference.txt.gz"),
    document("maint-ja", "ja", "maint-guide-ja", "usr/share/doc/maint-guide-ja/maint-guide.ja.pdf", "usr/share/doc/maint-guide-ja/maint-guide.ja.txt.gz"),
    document("reference-zh", "zh", "debian-reference-zh-cn", "usr/share/debian-reference/debian-reference.zh-cn.pdf", "usr/share/debian-reference/debian-reference.zh-cn.txt.gz"),
    document("install-zh", "zh", "installation-guide-amd64", "usr/share/doc/installation-guide-amd64/zh_CN/install.zh_CN.pdf.gz", "usr/share/doc/installation-guide-amd64/zh_CN/install.zh_CN.txt.gz"),
    document("maint-zh", "zh", "maint-guide-zh-cn", "usr/share/doc/maint-guide-zh-cn/maint-guide.zh-cn.pdf", "usr/share/doc/maint-guide-zh-cn/maint-guide.zh-cn.txt.gz"),
    document("install-ko", "ko", "installation-guide-amd64", "usr/share/doc/installation-guide-amd64/ko/install.ko.pdf.gz", "usr/share/doc/installation-guide-amd64/ko/install.ko.txt.gz"),
    document("install-vi", "vi", "installation-guide-amd64", "usr/share/doc/installation-guide-amd64/vi/install.vi.pdf.gz", "usr/share/doc/installation-guide-amd64/vi/install.vi.txt.gz"),
];

/// A manual, and the text that was made beside it, of the same package or of another.
struct Manual {
    name: &'static str,
    package: &'static str,
    pdf: &'static str,
    text: (Form, &'static str, &'static str),
}

/// Set by others than the documents above, most of them by TeX. Quality alone is measured with them: speed is compared over
/// the pages that others were measured with.
const MANUALS: &[Manual] = &[
    Manual {
        name: "zsh",
        package: "zsh-doc",
        pdf: "usr/share/doc/zsh-common/zsh.pdf",
        text: (Form::Info, "zsh-doc", "usr/share/info/zsh.info"),
    },
    // Its Info is of an older version than its PDF.
    Manual {
        name: "gnuplot",
        package: "gnuplot-doc",
        pdf: "usr/share/doc/gnuplot/gnuplot.pdf",
        text: (Form::Help, "gnuplot-doc", "usr/share/doc/gnuplot/gnuplot.gih"),
    },
    Manual {
        name: "r-intro",
        package: "r-doc-pdf",
        pdf: "usr/share/R/doc/manual/R-intro.pdf",
        text: (Form::Info, "r-doc-info", "usr/share/info/R-intro.info"),
    },
    Manual {
        name: "r-exts",
        package: "r-doc-pdf",
        pdf: "usr/share/R/doc/manual/R-exts.pdf",
        text: (Form::Info, "r-doc-info", "usr/share/info/R-exts.info"),
    },
];

/// Pages of a document.
struct Pages {
    of: &'static str,
    first: u32,
}

const fn pages(of: &'static str, first: u32) -> Pages {
    Pages { of, first }
}

/// Scans to judge recognition by: language, the same as Tesseract names it, pages.
const SCANS: &[(&str, &str, Pages)] = &[
    ("en", "eng", pages("policy", 30)),
    ("de", "deu", pages("install-de", 40)),
    ("ja", "jpn", pages("reference-ja", 60)),
    ("zh", "chi_sim", pages("reference-zh", 60)),
];

/// Languages of which there are bad scans of the same pages, too.
const NOISY: &[&str] = &["en", "de"];

/// Pages of one document that is made.
const PAGES: u32 = 15;
/// Pages of a scan in a share.
const SHARE_PAGES: u32 = 2;
/// Documents of each kind that a file pipeline gets: a share and all.
const OF_A_KIND: (u32, u32) = (1, 6);

/// What a file pipeline gets: name, pages; which of them are pictures.
type Kind = (&'static str, Pages, fn(u32) -> bool);
const WORKLOAD: &[Kind] = &[
    ("text", pages("policy", 20), |_| false),
    ("scans", pages("reference-en", 30), |_| true),
    ("mixed", pages("reference-en", 130), |page| page % 2 == 0),
];

/// As what such a pipeline gets was scanned: in colour, and larger than anybody renders it.
const BIG: Look = Look { dots_per_inch: 300, is_grey: false };
/// As most scanners do it when nobody tells them otherwise.
const PLAIN: Look = Look { dots_per_inch: 200, is_grey: false };

/// Pages of the large scan.
const LARGE_PAGES: usize = 1_000;
/// Folder of the files larger than the memory that they may take.
const LARGE: &str = "extraction-large";
const LARGE_TEXT: &str = "text.pdf";
const LARGE_SCANS: &str = "scans.pdf";

/// Raised when what is above or how it is made changes, so that caches are assembled anew.
const RECIPE: &str = "3";
const STAMP: &str = "RECIPE";

/// Assembles the documents unless they are there; gives their folder.
pub fn assemble(extent: Extent) -> Result<PathBuf> {
    let name = if extent == Extent::Share { "extraction-share" } else { "extraction" };
    once(name, |partial| {
        let unpacked = packages_unpacked()?;
        let mut manifest = json!({ "documents": [], "scans": [], "workload": [] });
        for document in DOCUMENTS {
            let root = unpacked.join(document.package);
            let (pdf, text) = (pdf_of(document.name), format!("documents/{}.txt", document.name));
            copy_file(&root.join(document.pdf), &partial.join(&pdf))?;
            copy_file(&root.join(document.text), &partial.join(&text))?;
            push(
                &mut manifest["documents"],
                json!({"name": document.name, "language": document.language, "pdf": pdf, "text": text,
                       "is_timed": true}),
            );
        }
        if extent == Extent::Whole {
            manuals(partial, &mut manifest["documents"])?;
        }
        println!("corpus: making scans");
        let (scanned, of_a_kind) =
            if extent == Extent::Share { (SHARE_PAGES, OF_A_KIND.0) } else { (PAGES, OF_A_KIND.1) };
        scans(partial, scanned, false, &mut manifest["scans"])?;
        if extent == Extent::Whole {
            scans(partial, scanned, true, &mut manifest["scans"])?;
        }
        for (kind, pages, is_picture) in WORKLOAD {
            for number in 0..of_a_kind {
                let (name, first) =
                    (format!("workload/{kind}-{}", number + 1), pages.first + number * PAGES);
                mixed(&partial.join(pdf_of(pages.of)), first, *is_picture, &made(partial, &name)?)?;
                let texts = texts(partial, &name, pages.of, first..first + PAGES, *is_picture)?;
                let file = json!({"name": format!("{kind}-{}", number + 1), "language": "en",
                                  "tesseract": "eng", "pdf": format!("{name}.pdf"), "pages": texts});
                push(&mut manifest["workload"], file);
            }
        }
        if extent == Extent::Whole {
            manifest["large"] = json!({"text": format!("../{LARGE}/{LARGE_TEXT}"),
                "scans": format!("../{LARGE}/{LARGE_SCANS}"), "scanned_pages": LARGE_PAGES});
        }
        Ok(fs::write(partial.join("MANIFEST.json"), serde_json::to_vec_pretty(&manifest)?)?)
    })
}

/// Puts the manuals with the documents.
fn manuals(partial: &Path, list: &mut Value) -> Result<()> {
    let folder = unpacked_folder()?;
    for Manual { name, package, pdf, text: (form, beside, text) } in MANUALS {
        let root = packages::unpack(packages::named(package)?, &folder)?;
        let text = manual::text(*form, &packages::unpack(packages::named(beside)?, &folder)?.join(text))?;
        copy_file(&root.join(pdf), &partial.join(pdf_of(name)))?;
        let to = format!("documents/{name}.txt");
        cache::write(&partial.join(&to), text.as_bytes(), 0o644)?;
        push(
            list,
            json!({"name": name, "language": "en", "pdf": pdf_of(name), "text": to, "is_timed": false}),
        );
    }
    Ok(())
}

/// Makes the scans to judge recognition by, or the bad ones among them.
fn scans(partial: &Path, count: u32, is_noisy: bool, list: &mut Value) -> Result<()> {
    for (language, tesseract, pages) in SCANS {
        if is_noisy && !NOISY.contains(language) {
            continue;
        }
        let name = format!("scans/{language}{}", if is_noisy { "-noisy" } else { "" });
        let make = if is_noisy { scan::make_noisy } else { scan::make };
        make(&partial.join(pdf_of(pages.of)), pages.first, count, &made(partial, &name)?)?;
        let texts = texts(partial, &name, pages.of, pages.first..pages.first + count, |_| true)?;
        push(
            list,
            json!({"name": language, "language": language, "tesseract": tesseract, "is_noisy": is_noisy,
                   "pdf": format!("{name}.pdf"), "pages": texts}),
        );
    }
    Ok(())
}

/// Makes the files larger than the memory that they may take, unless they are there.
pub fn assemble_large() -> Result<()> {
    let documents = assemble(Extent::Whole)?;
    once(LARGE, |partial| {
        setup::install_bench_tools()?;
        let root = packages::unpack(&packages::LARGE, &unpacked_folder()?)?;
        let mut files = Vec::new();
        walk(&root, &mut files)?;
        let manual = files.into_iter().find(|file| file.ends_with("LinuxCNC_Documentation.pdf"));
        let manual = manual.context("the package has no LinuxCNC_Documentation.pdf")?;
        println!("corpus: making files of some 400 and 300 MB");
        let mut qpdf = Command::new("qpdf");
        process::run_quiet(
            qpdf.args(["--stream-data=uncompress", "--warning-exit-0"])
                .arg(&manual)
                .arg(partial.join(LARGE_TEXT)),
        )?;
        let mut pictures = Vec::new();
        for (_, _, pages) in SCANS {
            let source = documents.join(pdf_of(pages.of));
            pictures.extend(scan::pictures(&source, pages.first, PAGES, PLAIN, &partial.join("pictures"))?);
        }
        let again: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).cycle().take(LARGE_PAGES).collect();
        Ok(fs::write(partial.join(LARGE_SCANS), scan::pdf(&again, PLAIN.dots_per_inch)?)?)
    })?;
    Ok(())
}

/// Makes a folder of the cache, unless it is there by this recipe.
fn once(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = cache::root()?.join("corpus").join(name);
    if fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == RECIPE) {
        return Ok(folder);
    }
    let placed = cache::place_folder(&folder, |partial| {
        make(partial)?;
        Ok(fs::write(partial.join(STAMP), RECIPE)?)
    });
    placed.with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn unpacked_folder() -> Result<PathBuf> {
    let folder = cache::root()?.join("corpus/pkgs");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

fn packages_unpacked() -> Result<PathBuf> {
    let folder = unpacked_folder()?;
    for document in DOCUMENTS {
        packages::unpack(packages::named(document.package)?, &folder)?;
    }
    Ok(folder)
}

fn pdf_of(document: &str) -> String {
    format!("documents/{document}.pdf")
}

/// Where a document of this name is made.
fn made(folder: &Path, name: &str) -> Result<PathBuf> {
    fs::create_dir_all(folder.join(name))?;
    Ok(folder.join(format!("{name}.pdf")))
}

fn push(list: &mut Value, entry: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(entry);
    }
}

/// Writes the text of each page, as it is before any becomes a picture. In the order in which it was written: put in the order
/// of reading, hyphens at the ends of lines are dropped even where they belong to the word ("BIOS-Systemen").
fn texts(
    folder: &Path,
    name: &str,
    of: &str,
    pages: Range<u32>,
    is_picture: impl Fn(u32) -> bool,
) -> Result<Vec<Value>> {
    let page = |(number, page): (u32, u32)| -> Result<Value> {
        let text = format!("{name}/{number}.txt");
        let page = page.to_string();
        process::run_quiet(
            Command::new("pdftotext")
                .args(["-raw", "-enc", "UTF-8", "-nopgbrk", "-f", &page, "-l", &page])
                .arg(folder.join(pdf_of(of)))
                .arg(folder.join(&text)),
        )?;
        Ok(json!({"scanned": is_picture(number), "text": text}))
    };
    (1..).zip(pages).map(page).collect()
}

/// Pages of a document, some of them as pictures.
fn mixed(source: &Path, first: u32, is_picture: fn(u32) -> bool, target: &Path) -> Result<()> {
    let dir = target.with_extension("pages");
    fs::create_dir_all(&dir)?;
    let (from, to) = (first.to_string(), (first + PAGES - 1).to_string());
    let mut separate = Command::new("pdfseparate");
    process::run_quiet(separate.args(["-f", &from, "-l", &to]).arg(source).arg(dir.join("%d.pdf")))?;
    let files: Vec<PathBuf> = (0..PAGES).map(|page| dir.join(format!("{}.pdf", first + page))).collect();
    for (number, file) in (0..PAGES).zip(&files).filter(|(number, _)| is_picture(number + 1)) {
        let picture = scan::pictures(source, first + number, 1, BIG, &dir.join("pictures"))?;
        fs::write(file, scan::pdf(&picture, BIG.dots_per_inch)?)?;
    }
    process::run_quiet(Command::new("pdfunite").args(&files).arg(target))?;
    Ok(fs::remove_dir_all(&dir)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_of_a_pinned_package_and_every_page_of_a_document() {
        for document in DOCUMENTS {
            assert!(packages::named(document.package).is_ok(), "{}", document.package);
        }
        for Manual { name, package, text: (_, beside, _), .. } in MANUALS {
            assert!(packages::named(package).is_ok() && packages::named(beside).is_ok(), "{name}");
            assert!(DOCUMENTS.iter().all(|document| document.name != *name), "{name} is there twice");
        }
        for language in NOISY {
            assert!(SCANS.iter().any(|(scanned, ..)| scanned == language), "{language}");
        }
        let sources =
            SCANS.iter().map(|(_, _, pages)| pages).chain(WORKLOAD.iter().map(|(_, pages, _)| pages));
        for pages in sources {
            assert!(DOCUMENTS.iter().any(|document| document.name == pages.of), "{}", pages.of);
        }
    }

    #[test]
    fn no_page_of_the_workload_is_there_twice() {
        let mut seen = std::collections::HashSet::new();
        for (_, pages, _) in WORKLOAD {
            for page in pages.first..pages.first + OF_A_KIND.1 * PAGES {
                assert!(seen.insert((pages.of, page)), "page {page} of {}", pages.of);
            }
        }
    }
}

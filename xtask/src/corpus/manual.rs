//! Manuals of which a PDF was made, and from the same source a text for reading in a terminal: Info, or gnuplot's help. What
//! only leads through such a text, and stands in no PDF, is left out of it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// What the text was made for.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// `info`: one file, or several of which the first only lists the others.
    Info,
    /// `help` of gnuplot.
    Help,
}

/// The text of a manual. `path` is without the ends `.gz` and `-1.gz`.
pub fn text(form: Form, path: &Path) -> Result<String> {
    let text: String = files(path)?.iter().map(|file| unpacked(file)).collect::<Result<_>>()?;
    let text = match form {
        Form::Info => of_info(&text),
        Form::Help => of_help(&text),
    };
    ensure!(!text.trim().is_empty(), "there is no text in {}", path.display());
    Ok(text)
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let end = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
    let parts: Vec<PathBuf> =
        (1..).map(|part| end(&format!("-{part}.gz"))).take_while(|file| file.is_file()).collect();
    if !parts.is_empty() {
        return Ok(parts);
    }
    let whole = end(".gz");
    ensure!(whole.is_file(), "there is no {}", whole.display());
    Ok(vec![whole])
}

fn unpacked(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice())
        .read_to_string(&mut text)
        .with_context(|| format!("{} is no gzipped UTF-8", file.display()))?;
    Ok(text)
}

/// Nodes without the lines that say where one is, and without menus. What is before the first node, and tables of where
/// nodes begin, is no text.
fn of_info(info: &str) -> String {
    let mut text = String::new();
    for node in info.split('\u{1f}') {
        let Some(node) = node.trim_start_matches(['\n', '\u{c}']).strip_prefix("File: ") else { continue };
        let mut in_menu = false;
        for line in node.lines().skip(1) {
            if line.starts_with("* Menu:") {
                in_menu = true;
            } else if in_menu {
                in_menu = line.is_empty() || ["* ", " ", "-- "].iter().any(|start| line.starts_with(start));
            }
            if !in_menu {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    without_marks(&text)
}

/// Pictures and indexes are marked by what no terminal shows.
fn without_marks(text: &str) -> String {
    let (mut rest, mut kept) = (text, String::with_capacity(text.len()));
    while let Some((before, after)) = rest.split_once("\0\u{8}[") {
        kept.push_str(before);
        rest = after.split_once("\0\u{8}]").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

/// Lines with a question mark are the words that one asks with.
fn of_help(help: &str) -> String {
    help.lines().filter(|line| !line.starts_with('?')).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_through_info_is_left_out() {
        let info = "This is a.info, produced by makeinfo.\n\u{1f}\nFile: a.info,  Node: Top,  Up: (dir)\n\nTitle\n*****\n\
            \n* Menu:\n\n* One::      the first\n               of all\n\n-- Indices --\n* Two::\n\nText after.\n\u{1f}\n\
            File: a.info,  Node: One\n\n\0\u{8}[index\0\u{8}]\n1 One\n\u{1f}\nTag Table:\nNode: Top\u{7f}38\n\u{1f}\n\
            End Tag Table\n";
        let words: Vec<String> = of_info(info).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["Title", "*****", "Text", "after.", "1", "One"]);
    }

    #[test]
    fn parts_come_in_their_order_and_the_list_of_them_is_none() {
        let folder = std::env::temp_dir().join(format!("docmill-manual-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
            fs::write(folder.join(name), packed.finish().unwrap()).unwrap();
        };
        write("a.gih.gz", "?word\n said\n");
        for number in 1..=11 {
            write(&format!("b.info-{number}.gz"), &format!("\u{1f}\nFile: b\n{number}\n"));
        }
        write("b.info.gz", "\u{1f}\nFile: b\nlist\n");
        assert_eq!(text(Form::Help, &folder.join("a.gih")).unwrap(), " said\n");
        let parts = text(Form::Info, &folder.join("b.info")).unwrap();
        assert_eq!(parts.split_whitespace().last(), Some("11"));
        assert!(!parts.contains("list") && text(Form::Info, &folder.join("c.info")).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}

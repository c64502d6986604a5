//! Chinese, Japanese and Korean fonts that a page draws with and does not bring along. Its text needs none, but its picture
//! does: where none is installed either, letters lack in what is recognised. Looks; installs nothing.

use std::path::Path;
use std::sync::OnceLock;

use pdfium_render::prelude::*;

/// Where pdfium looks for fonts.
const FOLDERS: &[&str] = &["/usr/share/fonts", "/usr/share/X11/fonts", "/usr/local/share/fonts"];
/// Most things on a page that are looked at.
const OBJECTS_MAX: usize = 2_000;
/// Most files that are looked at, and how deep they lie.
const FILES_MAX: usize = 20_000;
const DEPTH_MAX: usize = 8;

/// What the names of such fonts in documents have in them, in lower case and without marks between words.
#[rustfmt::skip]
const NAMED: &[&str] = &[
    "ryumin", "gothicbbb", "heisei", "kozmin", "kozgo", "mincho", "msgothic", "mspgothic", "meiryo", "hiragino", "yugothic",
    "stsong", "stheiti", "stfangsong", "stkaiti", "simsun", "simhei", "fangsong", "kaiti", "dengxian", "yahei", "adobesong",
    "adobeheiti", "adobeming", "msung", "mhei", "mingliu", "jhenghei", "hysmyeongjo", "hygothic", "hysinmyeongjo", "batang",
    "gulim", "dotum", "malgun", "adobemyungjo", "sourcehan", "cjk", "wenquanyi",
];

/// What the names of files have in them that hold such fonts.
#[rustfmt::skip]
const INSTALLED: &[&str] = &[
    "cjk", "wqy", "droidsansfallback", "takao", "ipag", "ipam", "ipaex", "vl-gothic", "vl-pgothic", "sazanami", "kochi",
    "uming", "ukai", "nanum", "baekmuk", "sourcehan", "hanamin", "mincho", "simsun", "msgothic", "unfonts",
];

/// A font that the page draws with and that is neither in the document nor installed.
pub(super) fn missing(page: &PdfPage<'_>) -> Option<String> {
    // Thousands of files, which are not looked at for every page: pdfium, too, looks at them once.
    static IS_INSTALLED: OnceLock<bool> = OnceLock::new();
    let named = page.objects().iter().take(OBJECTS_MAX).find_map(|object| {
        let font = object.as_text_object()?.font();
        let name = if matches!(font.is_embedded(), Ok(false)) { font.name() } else { return None };
        is_such(&name).then_some(name)
    })?;
    let is_installed = *IS_INSTALLED.get_or_init(|| is_installed(FOLDERS));
    (!is_installed).then_some(named)
}

fn is_such(name: &str) -> bool {
    let name: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    NAMED.iter().any(|part| name.contains(part))
}

/// Whether a file in these folders, or below, holds such a font.
fn is_installed(folders: &[impl AsRef<Path>]) -> bool {
    let mut left = FILES_MAX;
    folders.iter().any(|folder| is_below(folder.as_ref(), DEPTH_MAX, &mut left))
}

fn is_below(folder: &Path, depth: usize, left: &mut usize) -> bool {
    // What cannot be listed pdfium does not find either.
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    for entry in entries.flatten() {
        if *left == 0 {
            return false;
        }
        *left -= 1;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let is_font = [".ttf", ".ttc", ".otf", ".otc"].iter().any(|end| name.ends_with(end));
        if is_font && INSTALLED.iter().any(|part| name.contains(part)) {
            return true;
        }
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && depth > 0 && is_below(&entry.path(), depth - 1, left) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fonts_are_known_by_their_names() {
        for name in [
            "Ryumin-Light-90ms-RKSJ-H",
            "GothicBBB-Medium",
            "MS-Mincho",
            "STSong-Light",
            "HYSMyeongJo-Medium",
        ] {
            assert!(is_such(name), "{name}");
        }
        for name in ["Helvetica", "Times-Roman", "ABCDEF+LinLibertine", ""] {
            assert!(!is_such(name), "{name}");
        }
    }

    #[test]
    fn one_file_that_has_them_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("none"), folder.path().to_owned()];
        let deep = folder.path().join("opentype/noto");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("DejaVuSans.ttf"), "").unwrap();
        std::fs::write(deep.join("README.CJK"), "").unwrap();
        assert!(!is_installed(&folders));
        std::fs::write(deep.join("NotoSansCJK-Regular.ttc"), "").unwrap();
        assert!(is_installed(&folders));
    }
}

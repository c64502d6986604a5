//! Scans made from pages: each page becomes a picture, and the pictures a PDF without a text layer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;

/// How pages are made pictures.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub dots_per_inch: u32,
    pub is_grey: bool,
}

/// As offices scan.
pub const OFFICE: Look = Look { dots_per_inch: 200, is_grey: true };

/// Renders `count` pages from `first` of `source` and writes them as an image-only PDF.
pub fn make(source: &Path, first: u32, count: u32, target: &Path) -> Result<()> {
    let pictures = pictures(source, first, count, OFFICE, &target.with_extension("pages"))?;
    fs::write(target, pdf(&pictures, OFFICE.dots_per_inch)?)?;
    Ok(())
}

/// Dots per inch of a bad scan.
const NOISY_DOTS: u32 = 300;

/// The same as a bad scanner gives them: larger, a little turned, blurred, with noise. Pillow makes them so, which is
/// installed when it is first asked for.
pub fn make_noisy(source: &Path, first: u32, count: u32, target: &Path) -> Result<()> {
    let through = target.with_extension("pages");
    let clean = render(source, first, count, NOISY_DOTS, &["-gray"], &through)?;
    let noisy = through.join("noisy");
    let script = process::repository().join("bench/extract/run.sh");
    process::run_quiet(Command::new(script).arg("noisy").arg(&noisy).args(&clean))?;
    let pictures = read(&in_order(&noisy)?)?;
    ensure!(pictures.len() == clean.len(), "{} of {} noisy pages were made", pictures.len(), clean.len());
    fs::write(target, pdf(&pictures, NOISY_DOTS)?)?;
    Ok(fs::remove_dir_all(&through)?)
}

/// Renders `count` pages from `first` of `source` as JPEG, by way of the folder `through`, which is gone afterwards.
pub fn pictures(source: &Path, first: u32, count: u32, look: Look, through: &Path) -> Result<Vec<Vec<u8>>> {
    let form: &[&str] = if look.is_grey { &["-jpeg", "-gray"] } else { &["-jpeg"] };
    let pictures = read(&render(source, first, count, look.dots_per_inch, form, through)?)?;
    fs::remove_dir_all(through)?;
    Ok(pictures)
}

/// Renders pages into the folder `through`; gives the files in the order of the pages.
fn render(
    source: &Path,
    first: u32,
    count: u32,
    dots_per_inch: u32,
    form: &[&str],
    through: &Path,
) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(through)?;
    process::run_quiet(
        Command::new("pdftoppm")
            .args(["-r", &dots_per_inch.to_string()])
            .args(form)
            .args(["-f", &first.to_string(), "-l", &(first + count - 1).to_string()])
            .arg(source)
            .arg(through.join("page")),
    )?;
    let pages = in_order(through)?;
    ensure!(!pages.is_empty(), "{} has no page {first}", source.display());
    Ok(pages)
}

/// The files of a folder. Whoever numbers them pads the numbers, so that names sort as pages do.
fn in_order(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    Ok(files)
}

fn read(files: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    Ok(files.iter().map(fs::read).collect::<Result<_, _>>()?)
}

/// A PDF with one JPEG a page, embedded as it is, as large as it is at so many dots per inch.
pub fn pdf(pictures: &[impl AsRef<[u8]>], dots_per_inch: u32) -> Result<Vec<u8>> {
    let mut file = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut offsets = Vec::new();
    let mut object = |file: &mut Vec<u8>, dictionary: &str, stream: Option<&[u8]>| {
        offsets.push(file.len());
        file.extend(format!("{} 0 obj\n{dictionary}\n", offsets.len()).bytes());
        if let Some(stream) = stream {
            file.extend_from_slice(b"stream\n");
            file.extend_from_slice(stream);
            file.extend_from_slice(b"\nendstream\n");
        }
        file.extend_from_slice(b"endobj\n");
    };
    // Objects 1 and 2 are the catalogue and the page tree; then page, content and picture in turn.
    let kids: Vec<String> = (0..pictures.len()).map(|page| format!("{} 0 R", 3 + 3 * page)).collect();
    object(&mut file, "<< /Type /Catalog /Pages 2 0 R >>", None);
    let tree = format!("<< /Type /Pages /Count {} /Kids [{}] >>", pictures.len(), kids.join(" "));
    object(&mut file, &tree, None);
    for (page, picture) in pictures.iter().enumerate() {
        let picture: &[u8] = picture.as_ref();
        let Jpeg { width, height, components } = Jpeg::parse(picture)?;
        let points = |pixels: u16| f64::from(pixels) * 72.0 / f64::from(dots_per_inch);
        let (wide, high) = (points(width), points(height));
        let (content, image) = (4 + 3 * page, 5 + 3 * page);
        let dictionary = format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {wide:.2} {high:.2}] /Contents {content} 0 R \
             /Resources << /XObject << /Scan {image} 0 R >> >> >>"
        );
        object(&mut file, &dictionary, None);
        let drawing = format!("q {wide:.2} 0 0 {high:.2} 0 0 cm /Scan Do Q");
        object(&mut file, &format!("<< /Length {} >>", drawing.len()), Some(drawing.as_bytes()));
        let colours = if components == 1 { "DeviceGray" } else { "DeviceRGB" };
        let dictionary = format!(
            "<< /Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /{colours} \
             /BitsPerComponent 8 /Filter /DCTDecode /Length {} >>",
            picture.len()
        );
        object(&mut file, &dictionary, Some(picture));
    }
    let table = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1).bytes());
    for offset in &offsets {
        file.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    let size = offsets.len() + 1;
    file.extend(format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n").bytes());
    Ok(file)
}

/// What a PDF must say of a JPEG.
#[derive(Debug, PartialEq)]
struct Jpeg {
    width: u16,
    height: u16,
    components: u8,
}

impl Jpeg {
    /// Walks the segments to the frame header.
    fn parse(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.starts_with(&[0xff, 0xd8]), "not a JPEG");
        let mut at = 2;
        loop {
            let segment = bytes.get(at..at + 4).context("JPEG without a frame header")?;
            ensure!(segment[0] == 0xff, "JPEG segment expected");
            // C0 to C3 are the frame headers of the forms in use (baseline, progressive).
            if (0xc0..=0xc3).contains(&segment[1]) {
                let frame = bytes.get(at + 4..at + 10).context("JPEG frame header is cut")?;
                return Ok(Self {
                    height: u16::from_be_bytes([frame[1], frame[2]]),
                    width: u16::from_be_bytes([frame[3], frame[4]]),
                    components: frame[5],
                });
            }
            at += 2 + usize::from(u16::from_be_bytes([segment[2], segment[3]]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &[u8] =
        &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xc0, 0, 11, 8, 0, 20, 0, 10, 1, 1, 0x11, 0];

    #[test]
    fn frame_header_is_found_and_cut_files_refused() {
        assert_eq!(Jpeg::parse(JPEG).unwrap(), Jpeg { width: 10, height: 20, components: 1 });
        for end in 0..18 {
            assert!(Jpeg::parse(&JPEG[..end]).is_err());
        }
    }

    #[test]
    fn cross_references_point_at_their_objects() {
        let file = pdf(&[JPEG, JPEG], 200).unwrap();
        let text = String::from_utf8_lossy(&file[..]).into_owned();
        let entries: Vec<usize> = text
            .lines()
            .filter(|line| line.ends_with(" 00000 n "))
            .map(|line| line[..10].parse().unwrap())
            .collect();
        assert_eq!(entries.len(), 8);
        for (number, &offset) in entries.iter().enumerate() {
            assert!(file[offset..].starts_with(format!("{} 0 obj", number + 1).as_bytes()));
        }
    }
}

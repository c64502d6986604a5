//! Files that others keep for their own tests, for `cargo xtask hostile`: fetched by the ordinary client of where they are
//! published, pinned by SHA-256, of each package those files that are documents. Nothing of them is built, run or shipped.

mod fetch;
mod pick;
mod uu;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::cache;

/// The packages with their pins. The program that reads the files has the same table.
const PINS: &str = include_str!("../../../tests/src/hostile/pins.tsv");

/// What stands for a pin that is still to be made.
const UNPINNED: &str = "-";

/// Raised when other files of the packages are picked, so that caches are filled anew.
const RECIPE: &str = "1";

/// Says which download the files are from; written last.
const STAMP: &str = "pin";

/// Where the files are in a package's folder. The tests look there.
const FILES: &str = "files";

/// A package.
#[derive(Debug, PartialEq, Eq)]
struct Pin {
    name: &'static str,
    from: fetch::Publisher,
    version: &'static str,
    sha256: &'static str,
    /// Whether every run of the tests has it.
    always: bool,
}

fn pins() -> Result<Vec<Pin>> {
    let rows = PINS.lines().filter(|line| !line.starts_with('#'));
    let pin = |line: &'static str| {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [name, from, version, sha256, when] = fields[..] else {
            bail!("five fields are wanted: {line}")
        };
        let from = fetch::Publisher::named(from)?;
        ensure!(matches!(when, "always" | "full"), "{name}: always or full is wanted, not {when}");
        Ok(Pin { name, from, version, sha256, always: when == "always" })
    };
    rows.map(pin).collect()
}

/// Fetches what is not there: all of it, or what every run of the tests has.
pub fn install(cache: &Path, all: bool) -> Result<()> {
    for pin in pins()?.into_iter().filter(|pin| all || pin.always) {
        place(&pin, &cache.join("hostile").join(pin.name))
            .with_context(|| format!("package {}", pin.name))?;
    }
    Ok(())
}

/// Fetches all of it again and prints the table with the pins that it has now.
pub fn print_pins() -> Result<()> {
    let folder = cache::root()?.join(format!("hostile/pins-{}", std::process::id()));
    for pin in pins()? {
        let to = folder.join(pin.name);
        fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
        let sha256 = match fetch::download(pin.from, pin.name, pin.version, None, &to) {
            Ok(file) => cache::sha256_file(&file)?,
            Err(error) => {
                eprintln!("{}: {error:#}", pin.name);
                UNPINNED.to_owned()
            }
        };
        let when = if pin.always { "always" } else { "full" };
        println!("{}\t{}\t{}\t{sha256}\t{when}", pin.name, pin.from.as_str(), pin.version);
        // Only disk space: a leftover harms nothing.
        let _ = fs::remove_dir_all(&to);
    }
    let _ = fs::remove_dir_all(&folder);
    Ok(())
}

fn place(pin: &Pin, place: &Path) -> Result<()> {
    let stamp = format!("{} {RECIPE}", pin.sha256);
    if fs::read_to_string(place.join(STAMP)).is_ok_and(|found| found == stamp) {
        return Ok(());
    }
    ensure!(
        pin.sha256 != UNPINNED,
        "it is not pinned: `cargo xtask hostile --pin` prints the table with its pin"
    );
    println!("hostile: fetching {} {}", pin.name, pin.version);
    cache::place_folder(place, |partial| {
        fill(pin, partial)?;
        cache::write(&partial.join(STAMP), stamp.as_bytes(), 0o644)
    })
}

fn fill(pin: &Pin, folder: &Path) -> Result<()> {
    let (download, unpacked) = (folder.join("download"), folder.join("unpacked"));
    fs::create_dir_all(&download).with_context(|| format!("cannot create {}", download.display()))?;
    fs::create_dir_all(&unpacked).with_context(|| format!("cannot create {}", unpacked.display()))?;
    let file = fetch::download(pin.from, pin.name, pin.version, Some(pin.sha256), &download)?;
    let found = cache::sha256_file(&file)?;
    ensure!(
        found == pin.sha256,
        "sha256 of {} is {found}, expected {}: either it was changed where it is published, or {} is offered in \
         another version; if `--pin` prints another pin, look at what became another before it is taken",
        file.display(),
        pin.sha256,
        pin.name
    );
    fetch::unpack(&file, &unpacked)?;
    let count = pick::pick(pin.name, &unpacked, &folder.join(FILES))?;
    ensure!(count > 0, "none of its files is wanted any more");
    fs::remove_dir_all(&download)?;
    Ok(fs::remove_dir_all(&unpacked)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_a_row_and_what_is_wanted_of_it() {
        let pins = pins().unwrap();
        assert!(pins.iter().any(|pin| pin.always) && pins.iter().any(|pin| !pin.always));
        for pin in &pins {
            let hexadecimal =
                pin.sha256.len() == 64 && pin.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(pin.sha256 == UNPINNED || hexadecimal, "{}", pin.name);
            assert!(pick::is_known(pin.name), "{}", pin.name);
            assert_eq!(fetch::Publisher::named(pin.from.as_str()).unwrap(), pin.from);
        }
    }
}

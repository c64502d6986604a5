//! Debian packages: asks dpkg first, and touches apt only for what is missing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;

/// Runs apt-get with its arguments, and has no service started meanwhile. A policy of the machine's own
/// stays what it is; ours is gone afterwards.
const WITHOUT_SERVICES: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy" || exit 1
fi
apt-get "$@"
"#;

/// For downloads into our own folders, which the user that apt would take for them cannot write to.
pub const AS_WE_ARE: &[&str] = &["-o", "APT::Sandbox::User=root"];

/// What Maven is run by, where the machine has none.
const MAVEN: &[&str] = &["maven", "openjdk-17-jre-headless"];

/// Installs those of `packages` that dpkg does not report as installed.
pub fn install_missing(packages: &[&str]) -> Result<()> {
    install(packages, || as_root("apt-get"))
}

/// The same for servers that tests start themselves: no service is started.
pub fn install_servers(packages: &[&str]) -> Result<()> {
    install(packages, || {
        let mut command = as_root("sh")?;
        command.args(["-c", WITHOUT_SERVICES, "sh"]);
        Ok(command)
    })
}

/// Installs Maven and its Java, where one of them is missing.
pub fn install_maven() -> Result<()> {
    if process::which("java").is_none() || process::which("mvn").is_none() {
        install_missing(MAVEN)?;
    }
    Ok(())
}

fn install(packages: &[&str], apt_get: impl Fn() -> Result<Command>) -> Result<()> {
    if process::which("dpkg-query").is_none() || process::which("apt-get").is_none() {
        eprintln!("setup: no apt here; please see to the equivalents of: {}", packages.join(" "));
        return Ok(());
    }
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    println!("setup: installing {}", missing.join(" "));
    // A broken third-party source must not stop us: the install fails if the lists are of no use.
    if let Err(error) = update() {
        eprintln!("setup: {error:#}");
    }
    process::run_quiet(apt_get()?.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing))
}

/// The version of a package that is installed; none where it is not, or where there is no dpkg.
pub fn installed_version(package: &str) -> Option<String> {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status} ${Version}\n", package]).stderr(Stdio::null());
    let output = query.output().ok()?;
    let listed = String::from_utf8_lossy(&output.stdout);
    listed.lines().find_map(|line| line.strip_prefix("installed ")).map(str::to_owned)
}

/// Unpacks a package's files into a folder, without installing it or what it depends on.
pub fn unpack(package: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // As at an installation: old lists may name a file that the archive has no more.
    if let Err(error) = update() {
        eprintln!("setup: {error:#}");
    }
    process::run_quiet(
        Command::new("apt-get").args(AS_WE_ARE).args(["download", package]).current_dir(folder),
    )?;
    let is_package = |path: &Path| path.extension().is_some_and(|extension| extension == "deb");
    let archive = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| is_package(path))
        .with_context(|| format!("apt downloaded no {package}"))?;
    process::run_quiet(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(folder))
}

/// Fetches a file of the distribution's archive by its path there, from whichever of apt's sources has it. By apt, so
/// that its proxies and mirrors hold; what comes is not checked.
pub fn fetch_from_archive(path: &str, to: &Path) -> Result<()> {
    let mut ask = Command::new("apt-get");
    let listed =
        process::output(ask.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]))?;
    let mut errors = Vec::new();
    for uri in archives(&listed) {
        let mut fetch = Command::new("/usr/lib/apt/apt-helper");
        fetch.args(AS_WE_ARE).args(["download-file", &format!("{uri}/{path}")]).arg(to);
        match process::run_quiet(&mut fetch) {
            Ok(()) => return Ok(()),
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    bail!("none of apt's sources has {path}: {}", errors.join("; "))
}

/// Each archive once, those of security fixes last: they have few packages.
fn archives(listed: &str) -> Vec<&str> {
    let mut uris: Vec<&str> = listed.lines().map(|uri| uri.trim_end_matches('/')).collect();
    uris.sort_by_key(|uri| (uri.contains("security"), *uri));
    uris.dedup();
    uris
}

/// Refreshes the package lists.
pub fn update() -> Result<()> {
    process::run_quiet(as_root("apt-get")?.args(["update", "-qq"]))
}

fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    // dpkg-query exits 1 when it does not know one of the names, and still lists the others.
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(packages)
        .stderr(Stdio::null())
        .output()?;
    let listed = String::from_utf8_lossy(&output.stdout);
    Ok(packages
        .iter()
        .copied()
        .filter(|package| !listed.lines().any(|line| line == format!("{package} installed")))
        .collect())
}

fn as_root(program: &str) -> Result<Command> {
    let is_root = process::output(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = if is_root {
        Command::new(program)
    } else if process::which("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.args(["DEBIAN_FRONTEND=noninteractive", program]);
        sudo
    } else {
        bail!(
            "packages are missing, and this is neither root nor is there sudo: install them as root, then run again"
        );
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_asked_once_and_security_last() {
        let listed =
            "http://d.org/debian/\nhttp://d.org/debian/\nhttp://d.org/debian-security/\nhttp://e.org/x\n";
        let expected = ["http://d.org/debian", "http://e.org/x", "http://d.org/debian-security"];
        assert_eq!(archives(listed), expected);
        assert!(archives("").is_empty());
    }

    #[test]
    fn a_package_that_nobody_has_has_no_version() {
        assert_eq!(installed_version("docmill-no-such-package"), None);
    }
}

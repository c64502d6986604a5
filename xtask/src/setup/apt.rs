//! Debian packages: asks dpkg first, and touches apt only for what is missing.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

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

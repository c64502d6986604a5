//! Network namespaces of this machine, each with an address of its own on a bridge that the machine has an address
//! on too. They go with what made them, in whatever way it ends: a keeper, a small shell script, waits for the end of
//! its input and removes them.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Networks of /24 that are tried: private ones that hardly anybody uses.
const FIRST_OCTETS: &str = "10.231";
/// How many of them.
const NETWORKS: u32 = 200;

/// Removes what is named in the lines that it read. Links too: a namespace stays while a process is in it, and with it
/// its end of a pair.
const KEEPER: &str = r#"
names=""
while read -r kind name; do names="$names $kind:$name"; done
for entry in $names; do
    case "$entry" in
        netns:*) ip netns del "${entry#netns:}" ;;
        link:*) ip link del "${entry#link:}" ;;
    esac
done
"#;

/// A bridge, and namespaces on it.
pub struct Net {
    tag: String,
    prefix: String,
    namespaces: usize,
    keeper: Child,
}

/// A namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: String,
    link: String,
}

/// Why there can be none, and what to do; none where there can.
pub fn lacking() -> Option<String> {
    let tried = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
    let what_to_do =
        "run it as root, in a container with CAP_NET_ADMIN and CAP_SYS_ADMIN, with iproute2 installed";
    match tried {
        Ok(status) if status.success() && ip(&["-V"]).is_ok() => None,
        _ => Some(format!("network namespaces cannot be made here: {what_to_do}")),
    }
}

impl Net {
    /// Makes a bridge with an address.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn new() -> Result<Self> {
        let process = std::process::id();
        let tag = format!("dm{}", process % 1_000_000);
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).stdin(Stdio::piped()).process_group(0);
        let keeper = keeper.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        // One that nobody here has: two runs at once have two.
        let taken = ip(&["-4", "-o", "addr"])?;
        let number = (0..NETWORKS).map(|n| (process + n) % NETWORKS);
        let free = number
            .map(|n| format!("{FIRST_OCTETS}.{n}"))
            .find(|prefix| !taken.contains(&format!("{prefix}.")));
        let mut net = Self { tag, prefix: free.context("no network is free")?, namespaces: 0, keeper };
        let bridge = format!("{}b", net.tag);
        net.keep("link", &bridge)?;
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}/24", net.address()), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        Ok(net)
    }

    /// The machine's own address on the bridge.
    pub fn address(&self) -> String {
        format!("{}.1", self.prefix)
    }

    /// All addresses, for those who let in whom they know.
    pub fn network(&self) -> String {
        format!("{}.0/24", self.prefix)
    }

    /// Makes a namespace with an address.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn add(&mut self) -> Result<Namespace> {
        let number = self.namespaces;
        self.namespaces += 1;
        let (name, link) = (format!("{}n{number}", self.tag), format!("{}v{number}", self.tag));
        let (inside, address) = (format!("{link}i"), format!("{}.{}/24", self.prefix, 10 + number));
        self.keep("link", &link)?;
        self.keep("netns", &name)?;
        ip(&["netns", "add", &name])?;
        ip(&["link", "add", &link, "type", "veth", "peer", "name", &inside, "netns", &name])?;
        ip(&["link", "set", &link, "master", &format!("{}b", self.tag), "up"])?;
        for args in [
            vec!["addr", "add", &address, "dev", &inside],
            vec!["link", "set", &inside, "up"],
            vec!["link", "set", "lo", "up"],
        ] {
            ip(&[&["-n", name.as_str()], args.as_slice()].concat())?;
        }
        Ok(Namespace { name, link })
    }

    fn keep(&mut self, kind: &str, name: &str) -> Result<()> {
        let input = self.keeper.stdin.as_mut().context("its input is ours")?;
        Ok(writeln!(input, "{kind} {name}")?)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

impl Namespace {
    /// The same command, inside.
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.name]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Cuts it off: what is sent is lost, and nobody is told.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn cut(&self) -> Result<()> {
        ip(&["link", "set", &self.link, "down"]).map(drop)
    }

    /// Lets it in again.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn join(&self) -> Result<()> {
        ip(&["link", "set", &self.link, "up"]).map(drop)
    }
}

fn ip(args: &[&str]) -> Result<String> {
    let output = Command::new("ip").args(args).stdin(Stdio::null()).output();
    let output = output.context("cannot start `ip`: install iproute2")?;
    if !output.status.success() {
        bail!("`ip {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    let said = String::from_utf8(output.stdout);
    ensure!(said.is_ok(), "`ip {}` said what is no text", args.join(" "));
    Ok(said.unwrap_or_default())
}

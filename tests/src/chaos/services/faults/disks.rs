//! Small file systems of this process alone, so that a disk can be full without filling anybody else's.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Name of the file that fills a disk.
const BALLAST: &str = "ballast";
/// Written at once while a disk is filled, the largest first, in bytes.
const PIECES: [usize; 3] = [1 << 20, 1 << 14, 1];

/// Lets this process mount what nobody else sees. Called before a second thread is there.
///
/// # Errors
/// The system refuses it.
pub fn enter() -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let flags = if root { UnshareFlags::NEWNS } else { UnshareFlags::NEWNS | UnshareFlags::NEWUSER };
    // SAFETY: file descriptors stay shared, which is all that the call could break.
    unsafe { unshare_unsafe(flags) }.context("mounts of this process alone are refused")?;
    if !root {
        // As we are, but with the right to mount.
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    }
    let all = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", all).context("mounts would be seen by others")
}

/// See the module. It goes with its handle.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// An empty one of `mib` MiB, at a place that is made for it.
    ///
    /// # Errors
    /// The file system's.
    pub fn new(path: &Path, mib: u32) -> Result<Self> {
        fs::create_dir(path)?;
        let size = CString::new(format!("size={mib}m,mode=755"))?;
        mount("tmpfs", path, "tmpfs", MountFlags::empty(), size.as_c_str())
            .with_context(|| format!("a disk at {}", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves no byte free; called again, it takes what was freed meanwhile.
    ///
    /// # Errors
    /// Any but that no space is left.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::options().create(true).append(true).open(self.path.join(BALLAST))?;
        for bytes in PIECES {
            loop {
                match file.write(&vec![0; bytes]) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// The file system's.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.path.join(BALLAST))?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is still open on it goes with its process.
        let _ = unmount(&self.path, UnmountFlags::DETACH);
    }
}

//! What a document could have its parser try once it has taken it over, each attempt as close to the kernel as it gets.
//! Compiled for tests alone; a child tries what the name of its document says.

use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::FromRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What an attempt leads to where nothing but limits holds a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheld {
    /// It comes through, and is seen to.
    Escapes,
    /// It fails all the same: a limit, or how children are started, holds it.
    Fails,
    /// It depends on the kernel's settings and on who tries, or would change the machine: not tried.
    Untold,
}

macro_rules! attempts {
    ($($name:ident = $text:literal, $unheld:ident, $run:expr;)+) => {
        /// An attempt to get out.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Attempt {
            $(#[doc = $text] $name,)+
        }

        impl Attempt {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What is tried.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it leads to without a sandbox.
            pub fn unheld(self) -> Unheld {
                match self { $(Self::$name => Unheld::$unheld,)+ }
            }

            /// Tries it; gives what it got.
            fn run(self, targets: &Targets) -> io::Result<String> {
                let run: fn(&Targets) -> io::Result<String> = match self { $(Self::$name => $run,)+ };
                run(targets)
            }
        }
    };
}

attempts! {
    ReadFile = "read another file of the same user", Escapes, |targets| std::fs::read_to_string(&targets.secret);
    ReadToken = "read a mounted token, which is a symbolic link", Escapes,
        |targets| std::fs::read_to_string(&targets.token);
    ListRoot = "list the root directory", Escapes, |_| list(Path::new("/"));
    ParentEnvironment = "read the parent's environment", Escapes,
        |targets| std::fs::read(format!("/proc/{}/environ", targets.parent)).map(|read| format!("{} bytes", read.len()));
    OwnEnvironment = "find variables that the parent did not mean to pass on", Fails, |_| variables();
    WriteFile = "write a file", Escapes,
        |targets| std::fs::write(targets.folder.join("written"), "x").map(|()| "written".to_owned());
    Truncate = "cut another file", Escapes, truncate;
    Remove = "remove a file", Escapes,
        |targets| std::fs::remove_file(targets.folder.join("kept")).map(|()| "removed".to_owned());
    Rename = "rename a file", Escapes, rename;
    Link = "link to another file", Escapes,
        |targets| std::fs::hard_link(&targets.secret, targets.folder.join("link")).map(|()| "linked".to_owned());
    Rights = "change the rights of a file", Escapes,
        |targets| std::fs::set_permissions(&targets.secret, Permissions::from_mode(0o666)).map(|()| "changed".to_owned());
    LargeFile = "write a file of 10 GB", Fails, large_file;
    WriteDocument = "write to the document", Fails, write_document;
    ReopenDocument = "open the document for writing by its descriptor", Escapes, reopen_document;
    OwnMemory = "write to its own memory by its file", Escapes,
        |_| OpenOptions::new().write(true).open("/proc/self/mem").map(|_| "opened".to_owned());
    Tcp = "connect by TCP", Escapes, tcp;
    Listen = "listen by TCP", Escapes, |_| Ok(format!("listens at {}", TcpListener::bind("127.0.0.1:0")?.local_addr()?));
    Udp = "send by UDP", Escapes, udp;
    Unix = "connect to a unix socket by its path", Escapes,
        |targets| greet(UnixStream::connect(targets.folder.join("socket"))?);
    Abstract = "connect to an abstract unix socket", Escapes,
        |targets| greet(UnixStream::connect_addr(&SocketAddr::from_abstract_name(targets.abstract_name.as_bytes())?)?);
    Netlink = "open a netlink socket", Escapes,
        |_| call(libc::SYS_socket, &[libc::AF_NETLINK as usize, libc::SOCK_RAW as usize, 0]).map(|_| "opened".to_owned());
    Fork = "fork a hundred times", Escapes, fork;
    Clone3 = "fork by the newest call", Escapes, clone3;
    Execute = "start a program", Escapes, execute;
    Memfd = "make a file of memory to start it", Escapes,
        |_| call(libc::SYS_memfd_create, &[c"x".as_ptr() as usize, 0]).map(|_| "made".to_owned());
    Trace = "trace another process", Escapes,
        |targets| call(libc::SYS_ptrace, &[PTRACE_SEIZE, targets.victim as usize, 0, 0]).map(|_| "attached".to_owned());
    ReadMemory = "read the parent's memory", Escapes, read_memory;
    TakeDescriptor = "take a descriptor of the parent", Escapes, take_descriptor;
    Kill = "kill another process", Escapes,
        |targets| call(libc::SYS_kill, &[targets.victim as usize, libc::SIGKILL as usize]).map(|_| "killed".to_owned());
    SignalParent = "send the parent a signal", Escapes,
        |targets| call(libc::SYS_kill, &[targets.parent as usize, libc::SIGCONT as usize]).map(|_| "sent".to_owned());
    LeaveGroup = "leave the group that is killed as one", Escapes,
        |targets| call(libc::SYS_setpgid, &[0, targets.group as usize]).map(|_| "left".to_owned());
    Memory = "take 8 GiB of memory", Fails, memory;
    RaiseCpu = "raise its limit of CPU time", Escapes, |_| raise(libc::RLIMIT_CPU as usize);
    RaiseMemory = "raise its limit of memory", Untold, |_| raise(libc::RLIMIT_AS as usize);
    Terminal = "control a device", Escapes, terminal;
    IoUring = "have calls made by a ring", Untold,
        |_| call(libc::SYS_io_uring_setup, &[1, [0u8; 120].as_mut_ptr() as usize]).map(|_| "made".to_owned());
    Bpf = "load a program into the kernel", Untold,
        |_| call(libc::SYS_bpf, &[0, [0u8; 64].as_mut_ptr() as usize, 64]).map(|_| "loaded".to_owned());
    Keys = "read the kernel's keys", Untold,
        |_| call(libc::SYS_keyctl, &[0, SESSION_KEYRING as usize, 0]).map(|key| format!("key {key}"));
    Namespaces = "enter namespaces of its own", Untold,
        |_| call(libc::SYS_unshare, &[libc::CLONE_NEWUSER as usize]).map(|_| "entered".to_owned());
    Mount = "mount a file system", Untold, mount;
    Root = "change its root directory", Untold, |targets| {
        let folder = path(&targets.folder)?;
        call(libc::SYS_chroot, &[folder.as_ptr() as usize]).map(|_| "changed".to_owned())
    };
    Handle = "name a file by its handle, not its path", Untold, handle;
    OldCalls = "make calls of another processor mode", Untold, |_| old_calls();
}

const PTRACE_SEIZE: usize = 0x4206;
const SESSION_KEYRING: i32 = -3;

/// What attempts reach for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// A folder that the user may write to, with a file `kept` and a unix socket `socket`.
    pub folder: PathBuf,
    /// A file that the user may read and write.
    pub secret: PathBuf,
    /// A token as it is mounted in pods.
    pub token: PathBuf,
    /// Port of a TCP listener on this machine.
    pub tcp: u16,
    /// Port of a UDP socket.
    pub udp: u16,
    /// Name of an abstract socket.
    pub abstract_name: String,
    /// The process whose child tries.
    pub parent: u32,
    /// Its group.
    pub group: u32,
    /// Another process of the same user.
    pub victim: u32,
    /// Where a secret is in the parent's memory, and its length.
    pub memory: (usize, usize),
    /// Descriptor of a secret file in the parent.
    pub descriptor: i32,
}

/// An attempt that a child is to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What.
    pub attempt: Attempt,
    /// Before which page is sent.
    pub page: u32,
    /// What it reaches for.
    pub targets: Targets,
}

/// Begins the name of a document whose child is to try something.
const PREFIX: &str = "docmill-attempt:";
/// What a page's note begins with where its child says how its attempt ended.
pub const SUCCEEDED: &str = "attempt: succeeded, ";
/// The same of one that did not.
pub const REFUSED: &str = "attempt: refused, ";

impl Asked {
    /// As the name of a document.
    pub fn as_name(&self) -> String {
        format!("{PREFIX}{}.pdf", serde_json::to_string(self).unwrap_or_default())
    }

    /// Makes the attempt if this is the name of such a document and this its page; gives what the page is to say.
    pub(in crate::extract) fn tried(name: &str, page: u32) -> Option<String> {
        let asked = name.strip_prefix(PREFIX)?.strip_suffix(".pdf")?;
        let asked: Self = serde_json::from_str(asked).ok().filter(|asked: &Self| asked.page == page)?;
        // Whoever is killed has said at what.
        eprintln!("tries to {}", asked.attempt.as_str());
        Some(match asked.attempt.run(&asked.targets) {
            Ok(got) => format!("{SUCCEEDED}{got}"),
            Err(error) => format!("{REFUSED}{error}"),
        })
    }
}

/// A call as the kernel takes it: what the C library adds could hide what the kernel says.
fn call(number: libc::c_long, given: &[usize]) -> io::Result<usize> {
    let argument = |at: usize| given.get(at).copied().unwrap_or(0);
    // SAFETY: callers give what the call takes, with pointers to what lives over it.
    let answer = unsafe {
        libc::syscall(number, argument(0), argument(1), argument(2), argument(3), argument(4), argument(5))
    };
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}

fn path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn list(folder: &Path) -> io::Result<String> {
    Ok(format!("{} entries", std::fs::read_dir(folder)?.count()))
}

/// Names of variables that nobody passes on.
fn variables() -> io::Result<String> {
    let meant = |name: &str| {
        let set = ["LANG", "OMP_THREAD_LIMIT", "MIMALLOC_ARENA_RESERVE"];
        let passed = ["PDFIUM_LIB", "TESSERACT_LIB", "TESSDATA_PREFIX", "DOCMILL_CACHE"];
        set.contains(&name) || passed.contains(&name) || name.starts_with("DOCMILL_TEST_")
    };
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let others: Vec<String> = names.filter(|name| !meant(name)).collect();
    if others.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(others.join(", ")) }
}

fn truncate(targets: &Targets) -> io::Result<String> {
    let secret = path(&targets.secret)?;
    call(libc::SYS_truncate, &[secret.as_ptr() as usize, 0]).map(|_| "cut".to_owned())
}

fn rename(targets: &Targets) -> io::Result<String> {
    std::fs::rename(targets.folder.join("kept"), targets.folder.join("renamed"))?;
    Ok("renamed".to_owned())
}

fn large_file(targets: &Targets) -> io::Result<String> {
    let file = File::create(targets.folder.join("large"))?;
    file.write_all_at(b"x", 10 << 30)?;
    Ok("written".to_owned())
}

/// The only regular file that a child has open for reading while a PDF's pages are read.
fn document() -> io::Result<i32> {
    let regular = |number: &i32| {
        // SAFETY: the file is given back to the table of open files unclosed.
        let file = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(*number) });
        file.metadata().is_ok_and(|metadata| metadata.is_file())
    };
    (3..64).find(regular).ok_or_else(|| io::Error::other("the document is not open"))
}

fn write_document(_: &Targets) -> io::Result<String> {
    let written = b"x";
    call(libc::SYS_write, &[document()? as usize, written.as_ptr() as usize, 1])
        .map(|_| "written".to_owned())
}

fn reopen_document(_: &Targets) -> io::Result<String> {
    OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", document()?))?;
    Ok("opened".to_owned())
}

fn greet(mut connection: impl Write) -> io::Result<String> {
    connection.write_all(b"hello")?;
    Ok("connected".to_owned())
}

fn tcp(targets: &Targets) -> io::Result<String> {
    greet(TcpStream::connect(("127.0.0.1", targets.tcp))?)
}

fn udp(targets: &Targets) -> io::Result<String> {
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"hello", ("127.0.0.1", targets.udp))?;
    Ok("sent".to_owned())
}

/// Children end at once: what counts is that they were there.
fn fork(_: &Targets) -> io::Result<String> {
    for _ in 0..100 {
        ended_at_once(call(libc::SYS_clone, &[libc::SIGCHLD as usize])?);
    }
    Ok("a hundred processes".to_owned())
}

fn clone3(_: &Targets) -> io::Result<String> {
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
    let arguments: [u64; 8] = [0, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    ended_at_once(call(libc::SYS_clone3, &[arguments.as_ptr() as usize, size_of_val(&arguments)])?);
    Ok("a process".to_owned())
}

fn ended_at_once(forked: usize) {
    if forked == 0 {
        // SAFETY: the copy of the process ends here and touches nothing of it.
        unsafe { libc::_exit(0) }
    }
}

fn execute(targets: &Targets) -> io::Result<String> {
    let script = format!("echo ran > '{}'", targets.folder.join("executed").display());
    let words: [&CStr; 3] = [c"sh", c"-c", &CString::new(script)?];
    let pointers = [words[0].as_ptr(), words[1].as_ptr(), words[2].as_ptr(), std::ptr::null()];
    let no_variables = [std::ptr::null::<libc::c_char>()];
    let program = c"/bin/sh".as_ptr() as usize;
    call(libc::SYS_execve, &[program, pointers.as_ptr() as usize, no_variables.as_ptr() as usize])?;
    Ok("started".to_owned())
}

fn read_memory(targets: &Targets) -> io::Result<String> {
    let (address, length) = targets.memory;
    let mut found = vec![0u8; length];
    let here = libc::iovec { iov_base: found.as_mut_ptr().cast(), iov_len: length };
    let there = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: length };
    let (here, there) = (&raw const here as usize, &raw const there as usize);
    call(libc::SYS_process_vm_readv, &[targets.parent as usize, here, 1, there, 1, 0])?;
    Ok(String::from_utf8_lossy(&found).into_owned())
}

fn take_descriptor(targets: &Targets) -> io::Result<String> {
    let process = call(libc::SYS_pidfd_open, &[targets.parent as usize, 0])?;
    let taken = call(libc::SYS_pidfd_getfd, &[process, targets.descriptor as usize, 0])?;
    let number = i32::try_from(taken).map_err(io::Error::other)?;
    // SAFETY: the number was just given for a new descriptor, which is nobody else's.
    let file = unsafe { File::from_raw_fd(number) };
    let mut found = [0; 64];
    let length = file.read_at(&mut found, 0)?;
    Ok(String::from_utf8_lossy(&found[..length]).into_owned())
}

fn memory(_: &Targets) -> io::Result<String> {
    let (protection, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    call(libc::SYS_mmap, &[0, 8 << 30, protection as usize, kind as usize, usize::MAX, 0])?;
    Ok("taken".to_owned())
}

fn raise(resource: usize) -> io::Result<String> {
    let unlimited = [libc::RLIM_INFINITY; 2];
    call(libc::SYS_prlimit64, &[0, resource, unlimited.as_ptr() as usize, 0])?;
    Ok("raised".to_owned())
}

fn terminal(_: &Targets) -> io::Result<String> {
    let mut waiting: libc::c_int = 0;
    call(libc::SYS_ioctl, &[0, libc::FIONREAD as usize, &raw mut waiting as usize])?;
    Ok(format!("{waiting} bytes wait"))
}

fn mount(targets: &Targets) -> io::Result<String> {
    let folder = path(&targets.folder)?;
    let (source, kind) = (c"none".as_ptr() as usize, c"tmpfs".as_ptr() as usize);
    call(libc::SYS_mount, &[source, folder.as_ptr() as usize, kind, 0, 0])?;
    Ok("mounted".to_owned())
}

fn handle(targets: &Targets) -> io::Result<String> {
    let secret = path(&targets.secret)?;
    // struct file_handle: room for the handle, its type, the handle.
    let mut found = [0u32; 34];
    found[0] = 128;
    let mut mount = 0i32;
    let (name, mount) = (secret.as_ptr() as usize, &raw mut mount as usize);
    call(
        libc::SYS_name_to_handle_at,
        &[libc::AT_FDCWD as usize, name, found.as_mut_ptr() as usize, mount, 0],
    )?;
    let opened =
        call(libc::SYS_open_by_handle_at, &[libc::AT_FDCWD as usize, found.as_mut_ptr() as usize, 0])?;
    let number = i32::try_from(opened).map_err(io::Error::other)?;
    let mut text = String::new();
    // SAFETY: the number was just given for a new descriptor, which is nobody else's.
    unsafe { File::from_raw_fd(number) }.read_to_string(&mut text)?;
    Ok(text)
}

/// Numbers of the 32-bit tables, which a filter that looks at numbers alone would misread.
#[cfg(target_arch = "x86_64")]
fn old_calls() -> io::Result<String> {
    const X32: libc::c_long = 0x4000_0000;
    const GETPID: i32 = 20;
    if let Ok(socket) =
        call(X32 | libc::SYS_socket, &[libc::AF_UNIX as usize, libc::SOCK_STREAM as usize, 0])
    {
        return Ok(format!("socket {socket}"));
    }
    let mut answer = GETPID;
    // SAFETY: asks for the process's number; the registers that the kernel may change are named.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inout("eax") answer,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    if answer > 0 { Ok(format!("process {answer}")) } else { Err(io::Error::from_raw_os_error(-answer)) }
}

#[cfg(not(target_arch = "x86_64"))]
fn old_calls() -> io::Result<String> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_were_wanted_each_named_once() {
        let names: std::collections::BTreeSet<&str> = Attempt::ALL.iter().map(|one| one.as_str()).collect();
        assert_eq!(names.len(), Attempt::ALL.len());
        assert!(names.len() >= 25);
    }

    #[test]
    fn other_documents_are_not_tried() {
        assert_eq!(Asked::tried("report.pdf", 1), None);
        assert_eq!(Asked::tried("docmill-attempt:{}.pdf", 1), None);
    }
}

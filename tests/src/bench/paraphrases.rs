//! Questions in other words than the English documents use, with words that the right chunk holds.

/// One question.
#[derive(Debug, Clone, Copy)]
pub struct Paraphrase {
    /// The question.
    pub query: &'static str,
    /// Where it was written from.
    pub answer: Answer,
    /// Another document that answers it as well. Judged by reading what the first ten hits of each missed
    /// question say, as TREC pools are: the chunk must say all that was asked.
    pub also: Option<Answer>,
}

/// Where an answer stands.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Part of the file name of the document.
    pub document: &'static str,
    /// What the right chunk says; compare in lower case, white space as one space.
    pub says: &'static str,
}

impl Paraphrase {
    /// Every answer.
    pub fn answers(&self) -> impl Iterator<Item = Answer> {
        [Some(self.answer), self.also].into_iter().flatten()
    }

    const fn or(self, document: &'static str, says: &'static str) -> Self {
        Self { also: Some(Answer { document, says }), ..self }
    }
}

const fn ask(document: &'static str, query: &'static str, says: &'static str) -> Paraphrase {
    Paraphrase { query, answer: Answer { document, says }, also: None }
}

/// Written by hand; each expected text was found in the document of Debian 12 (at most three times).
pub const PARAPHRASES: [Paraphrase; 30] = [
    ask(
        "bash.pdf",
        "make a shell session that cannot change directory or run programs by path",
        "is used to set up an environment more controlled than the standard shell",
    ),
    ask(
        "bash.pdf",
        "treat what a command prints as if it were stored in a file that another program opens",
        "allows a process’s input or output to be referred to using a filename",
    ),
    ask(
        "bash.pdf",
        "launch a background helper whose stdin and stdout are connected to the calling script by pipes",
        "A coprocess is executed asynchronously in a subshell",
    ),
    ask(
        "bash.pdf",
        "generate many similar words from a list in curly braces",
        "Brace expansion is a mechanism by which arbitrary strings may be generated",
    ),
    ask(
        "bash.pdf",
        "stop a currently running program and continue it later in the background",
        "selectively stop (suspend) the execution of processes",
    ),
    ask(
        "bash.pdf",
        "get the exit codes of every stage of the most recent chain of commands",
        "the processes in the most-recently-executed foreground pipeline",
    ),
    ask("bash.pdf", "quit the script as soon as any command fails", "Exit immediately if a pipeline"),
    ask(
        "bash.pdf",
        "complain about variables that were never given a value",
        "Treat unset variables and parameters other than the special parameters",
    ),
    ask(
        "bash.pdf",
        "how many seconds until an idle interactive shell closes itself",
        "default timeout for the read builtin",
    ),
    ask(
        "bash.pdf",
        "run cleanup code when the script ends or receives a kill",
        "are to be read and executed when the shell receives signal",
    ),
    ask(
        "bash.pdf",
        "let two asterisks descend into all sub-directories",
        "match all files and zero or more directories and subdirectories",
    ),
    ask(
        "policy",
        "what does a package script have to do when it is executed twice",
        "scripts must be idempotent",
    ),
    ask(
        "policy",
        "which account numbers may packages use for their service users",
        "Globally allocated by the Debian project",
    ),
    ask(
        "policy",
        "a package may not silently discard edits an administrator made to its settings",
        "local changes must be preserved during a package upgrade",
    ),
    ask(
        "policy",
        "programs that nobody can do without and that must always work even if unconfigured",
        "even when unconfigured",
    ),
    ask(
        "policy",
        "where should processes keep data that does not outlive a boot",
        "directory /run is cleared at boot",
    )
    .or(
        "fhs.pdf",
        "Files under this directory must be cleared (removed or truncated as appropriate) at the beginning",
    ),
    ask(
        "policy",
        "requirements for licence text inside every package",
        "verbatim copy of its distribution license",
    ),
    ask("policy", "who is responsible for looking after a package", "Every package must have a maintainer"),
    ask(
        "install",
        "how do I answer all questions of the installer beforehand without sitting at the machine",
        "Preseeding provides a way to set answers to questions asked during the installation",
    ),
    ask(
        "install",
        "save your files before you start changing the disk",
        "Before you start, make sure to back up every file",
    ),
    ask("install", "amount of main memory and hard disk needed", "Recommended Minimum System Requirements"),
    ask(
        "install",
        "write the installer image to a flash drive from an existing Linux system",
        "cp debian.iso /dev/sdX",
    ),
    ask(
        "install",
        "check that the downloaded image was not tampered with",
        "verify the integrity of downloaded files",
    ),
    ask("faq", "how is the name of the distribution spoken and where does it come from", "Debra"),
    ask("faq", "why are releases called after characters of a film about toys", "Toy Story"),
    ask("faq", "which package did a file on my disk come from", "dpkg --search"),
    ask("faq", "can rpm systems use these packages", "alien"),
    ask("faq", "replace a file of a package with my own version permanently", "dpkg-divert")
        .or("debian-policy.pdf", "This can be used locally to override a package’s version of a file"),
    ask("faq", "does upgrading require stopping everything and going to one user", "single user mode"),
    ask("faq", "several computers share one set of downloaded updates", "apt-cacher"),
];

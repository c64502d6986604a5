//! Where a command works: on this machine or at a server. A decision about what was said, made in one place.

use clap::ArgMatches;
use clap::parser::ValueSource;

/// How an option was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Not at all, or by default.
    No,
    /// By the environment, which is there for all commands.
    Environment,
    /// On the command line, for this one.
    CommandLine,
}

/// What a command, with its options, can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// It works on this machine alone.
    Here,
    /// It asks a server.
    Server,
    /// Both.
    Either,
}

/// Where it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On a data directory.
    Here,
    /// At a server.
    Server,
}

/// The options that say it.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub server: Said,
    pub data_dir: Said,
    pub tenant: Said,
}

impl Options {
    /// As they were given.
    pub fn of(matches: &ArgMatches) -> Self {
        // Options that hold for all commands are told to the innermost one.
        let mut inner = matches;
        while let Some((_, below)) = inner.subcommand() {
            inner = below;
        }
        let said = |id: &str| match inner.value_source(id) {
            Some(ValueSource::CommandLine) => Said::CommandLine,
            Some(ValueSource::EnvVariable) => Said::Environment,
            _ => Said::No,
        };
        Self { server: said("server"), data_dir: said("data_dir"), tenant: said("tenant") }
    }
}

/// Decides; an error is a mistake of usage, as a sentence.
pub fn decide(needs: Needs, options: Options) -> Result<Place, &'static str> {
    use Said::{CommandLine, Environment, No};
    let Options { server, data_dir, tenant } = options;
    if (server, data_dir) == (CommandLine, CommandLine) {
        return Err("--server and --data-dir exclude each other: a server has its own data");
    }
    let place = match (needs, server, data_dir) {
        (Needs::Here, CommandLine, _) => {
            return Err("this works on this machine alone: leave out --server");
        }
        (Needs::Server, _, CommandLine) => return Err("this asks a server: leave out --data-dir"),
        (Needs::Server, No, _) => {
            return Err("this asks a server: give --server URL or set DOCMILL_SERVER");
        }
        (Needs::Here, ..) | (Needs::Either, No, _) | (Needs::Either, Environment, CommandLine) => {
            Place::Here
        }
        (Needs::Server | Needs::Either, ..) => Place::Server,
    };
    match (place, tenant) {
        (Place::Server, CommandLine) => Err("a server knows the tenant by the key: leave out --tenant"),
        _ => Ok(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_for_this_command_counts_more() {
        use Said::{CommandLine as Cl, Environment as Env, No};
        let cases = [
            (Needs::Either, No, No, Some(Place::Here)),
            (Needs::Either, No, Cl, Some(Place::Here)),
            (Needs::Either, Env, No, Some(Place::Server)),
            (Needs::Either, Env, Env, Some(Place::Server)),
            (Needs::Either, Env, Cl, Some(Place::Here)),
            (Needs::Either, Cl, Env, Some(Place::Server)),
            (Needs::Either, Cl, Cl, None),
            (Needs::Here, Env, No, Some(Place::Here)),
            (Needs::Here, Cl, No, None),
            (Needs::Server, No, Env, None),
            (Needs::Server, Env, Cl, None),
            (Needs::Server, Env, Env, Some(Place::Server)),
        ];
        for (needs, server, data_dir, expected) in cases {
            let decided = decide(needs, Options { server, data_dir, tenant: No });
            assert_eq!(decided.ok(), expected, "{needs:?} {server:?} {data_dir:?}");
        }
        let options = Options { server: Cl, data_dir: No, tenant: Cl };
        assert!(decide(Needs::Either, options).is_err());
        assert!(decide(Needs::Here, Options { server: No, data_dir: No, tenant: Cl }).is_ok());
    }
}

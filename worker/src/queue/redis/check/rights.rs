//! The least rights that the queue's user needs, and a harmless call that shows whether it has each.

use super::super::Keys;

/// A command that the queue calls.
pub struct Right {
    /// Its name in an ACL rule.
    pub rule: &'static str,
    /// Its name and arguments in a call that changes nothing for long; [`KEY`] stands for a key of its own.
    pub probe: &'static [&'static str],
}

/// See [`Right::probe`].
pub const KEY: &str = "<key>";

const fn right(rule: &'static str, probe: &'static [&'static str]) -> Right {
    Right { rule, probe }
}

/// All of them. The key exists for two calls only: the streams' calls find nothing, HDEL undoes HSET.
pub const RIGHTS: &[Right] = &[
    right("xadd", &["XADD", KEY, "NOMKSTREAM", "*", "m", "probe"]),
    right("xack", &["XACK", KEY, "probe", "0-1"]),
    right("xdel", &["XDEL", KEY, "0-1"]),
    right("xlen", &["XLEN", KEY]),
    right("xrange", &["XRANGE", KEY, "-", "+", "COUNT", "1"]),
    right("xclaim", &["XCLAIM", KEY, "probe", "probe", "0", "0-1", "JUSTID"]),
    right("xpending", &["XPENDING", KEY, "probe"]),
    right("xreadgroup", &["XREADGROUP", "GROUP", "probe", "probe", "COUNT", "1", "STREAMS", KEY, ">"]),
    right("xgroup|create", &["XGROUP", "CREATE", KEY, "probe", "0"]),
    right("xgroup|delconsumer", &["XGROUP", "DELCONSUMER", KEY, "probe", "probe"]),
    right("xinfo|consumers", &["XINFO", "CONSUMERS", KEY, "probe"]),
    right("xinfo|groups", &["XINFO", "GROUPS", KEY]),
    right("zadd", &["ZADD", KEY, "XX", "0", "probe"]),
    right("zrem", &["ZREM", KEY, "probe"]),
    right("zcard", &["ZCARD", KEY]),
    right("zcount", &["ZCOUNT", KEY, "0", "0"]),
    right("zscore", &["ZSCORE", KEY, "probe"]),
    right("zrange", &["ZRANGE", KEY, "0", "0"]),
    right("zrangebyscore", &["ZRANGEBYSCORE", KEY, "0", "0"]),
    right("hset", &["HSET", KEY, "probe", "1"]),
    right("hdel", &["HDEL", KEY, "probe"]),
    right("hget", &["HGET", KEY, "probe"]),
    right("time", &["TIME"]),
    right("script|load", &["SCRIPT", "LOAD", "return 1"]),
    right("evalsha", &["EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"]),
];

/// What this check, sentinels' clients and clusters' clients call besides.
const MORE: &[&str] = &["ping", "info", "command", "cluster|slots"];

/// Commands that a server must know, besides those of [`RIGHTS`]. XAUTOCLAIM is not called: it came with
/// the IDLE of XPENDING, which no server lists, and emulators have either both or none.
pub const ALSO_KNOWN: &[&str] = &["xautoclaim"];

/// The rules of a user with the least rights: `user NAME on >PASSWORD` and this.
pub fn rules(keys: &Keys) -> String {
    let rules = RIGHTS.iter().map(|right| right.rule).chain(MORE.iter().copied());
    let allowed: Vec<String> = rules.map(|rule| format!("+{rule}")).collect();
    format!("~{} -@all {}", keys.pattern(), allowed.join(" "))
}

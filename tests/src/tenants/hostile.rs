//! Values that somebody sends who wants more than is theirs.

use rand::Rng;
use rand::rngs::StdRng;

/// Values that are hostile wherever they come to: statements, scripts, protocols, paths, forms of writing.
const NEUTRAL: &[&str] = &[
    // SQL.
    "' OR '1'='1",
    "'; DROP TABLE documents; --",
    "1) UNION SELECT text, text, 1 FROM chunks --",
    "\\'; SELECT pg_sleep(9); --",
    "$$; COPY documents TO '/tmp/x'; $$",
    "%' OR tenant LIKE '%",
    // Cypher.
    "'}) MATCH (n) DETACH DELETE n //",
    "` RETURN c //",
    "\\u0027}) RETURN 1 //",
    // Lua and the protocol of Redis.
    "]] redis.call('FLUSHALL') --",
    "\r\n*1\r\n$8\r\nFLUSHALL\r\n",
    "{docmill:test}:queued",
    "\" return redis.call('KEYS', '*') --",
    // Headers and lines.
    "x\r\nx-docmill-tenant: default",
    "x\nauthorization: Bearer a.b.c",
    "x\r\ncontent-length: 0\r\n\r\nGET /v1/documents HTTP/1.1\r\n\r\n",
    // Paths.
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "/proc/self/environ",
    "file:///etc/passwd",
    "%2e%2e/%2e%2e/",
    "..\\..\\windows\\win.ini",
    "a\u{0}b",
    "%00",
    // Forms of writing.
    "ｄｅｆａｕｌｔ",
    "dеfault",
    "de\u{200b}fault",
    "\u{202e}tluafed",
    "e\u{301}\u{301}\u{301}",
    "ﬀ\u{fe0f}\u{e0041}",
    "\u{feff}default",
    "İı",
    // Templates, look-ups, numbers.
    "${jndi:ldap://localhost/a}",
    "{{7*7}}",
    "%s%s%n",
    "-1",
    "18446744073709551616",
    "1e400",
    "NaN",
    "null",
    "[]",
    "{}",
    "",
    " ",
    ".",
    "..",
    "*",
];

/// Longest of the long values, in characters: beyond every limit of a field, below that of a body.
const LONG: [usize; 4] = [256, 1_025, 4_097, 70_000];

/// One that may be kept: nothing in it is another's.
pub fn neutral(random: &mut StdRng) -> String {
    match random.random_range(0..NEUTRAL.len() + LONG.len()) {
        at if at < NEUTRAL.len() => NEUTRAL[at].to_owned(),
        at => {
            let letter = ["a", "ß", "語", "\u{1F4C4}"][random.random_range(0..4)];
            letter.repeat(LONG[at - NEUTRAL.len()] / letter.len())
        }
    }
}

/// One that is after this name: it must never be taken for the name itself.
pub fn aimed(name: &str, random: &mut StdRng) -> String {
    let wide: String = name
        .chars()
        .map(|c| char::from_u32(u32::from(c) + 0xfee0).filter(|_| c.is_ascii_graphic()).unwrap_or(c))
        .collect();
    match random.random_range(0..12) {
        0 => name.to_owned(),
        1 => format!("../{name}"),
        2 => format!("x/../{name}/"),
        3 => format!("%2e%2e%2f{name}"),
        4 => format!("{name}\u{0}"),
        5 => format!("' OR tenant = '{name}' --"),
        6 => format!("'}}) MATCH (n {{tenant_id: '{name}'}}) RETURN n //"),
        7 => name.to_ascii_uppercase(),
        8 => name.replace('o', "о"),
        9 => wide,
        10 => format!(" {name}\t"),
        _ => format!("{name}\u{200d}"),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn all_kinds_come() {
        let mut random = StdRng::seed_from_u64(1);
        let drawn: std::collections::BTreeSet<String> = (0..5_000).map(|_| neutral(&mut random)).collect();
        assert!(NEUTRAL.iter().all(|value| drawn.contains(*value)));
        assert!(
            LONG.iter()
                .all(|long| drawn.iter().any(|value| value.len() + 4 > *long && value.len() <= *long))
        );
        let aimed: std::collections::BTreeSet<String> =
            (0..500).map(|_| aimed("zqsouth", &mut random)).collect();
        assert_eq!(aimed.len(), 12);
    }
}

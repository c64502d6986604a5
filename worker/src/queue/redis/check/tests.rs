use super::*;
use crate::queue::redis::KeyPrefix;

fn good() -> Facts {
    Facts {
        tls: false,
        local: true,
        version: Some(Version([7, 0, 15])),
        role: Some("master".to_owned()),
        append_only: Some(true),
        append_ok: Some(true),
        appendfsync: Some("always".to_owned()),
        maxmemory_policy: Some("noeviction".to_owned()),
        default_user: DefaultUser::MayAll,
        commands_missing: Vec::new(),
        commands_denied: Vec::new(),
    }
}

fn judged(facts: &Facts) -> Vec<Finding> {
    judge(facts, &Keys::new(&KeyPrefix::default()))
}

/// The change leads to exactly one finding, of this severity, with these words in it.
fn check(change: impl FnOnce(&mut Facts), severity: Severity, words: &[&str]) {
    let mut facts = good();
    change(&mut facts);
    let [finding] = judged(&facts).try_into().expect("one finding");
    assert_eq!(finding.severity, severity, "{finding:?}");
    let text = format!("{} {}", finding.what, finding.what_to_do);
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[test]
fn a_good_server_has_no_findings() {
    assert_eq!(judged(&good()), []);
    assert_eq!(judged(&Facts { tls: true, local: false, ..good() }), []);
}

#[test]
fn each_fact_has_its_finding() {
    use Severity::{Error, Unknown, Warning};
    check(|facts| facts.local = false, Warning, &["unencrypted", "rediss"]);
    check(|facts| facts.version = Some(Version([6, 0, 16])), Error, &["6.0.16", "6.2.0"]);
    check(|facts| facts.version = None, Unknown, &["INFO"]);
    check(|facts| facts.role = Some("slave".to_owned()), Error, &["replica", "redis-sentinel://"]);
    check(|facts| facts.append_only = Some(false), Error, &["appendonly yes"]);
    check(|facts| facts.append_ok = Some(false), Error, &["volume"]);
    check(|facts| facts.appendfsync = Some("everysec".to_owned()), Warning, &["everysec", "always"]);
    check(|facts| facts.appendfsync = None, Unknown, &["CONFIG GET"]);
    check(|facts| facts.maxmemory_policy = Some("allkeys-lru".to_owned()), Error, &["allkeys-lru"]);
    check(|facts| facts.commands_missing = vec!["xautoclaim".to_owned()], Error, &["xautoclaim"]);
    check(
        |facts| facts.commands_denied = vec!["xclaim".to_owned()],
        Error,
        &["xclaim", "~{docmill:default}:* -@all +"],
    );
    let off = DefaultUser::Limited { commands: "-@all".to_owned(), keys: String::new() };
    check(|facts| facts.default_user = off, Error, &["-@all", "off resetpass ~* &* +@all"]);
    check(|facts| facts.default_user = DefaultUser::Hidden, Unknown, &["+@all"]);
}

#[test]
fn without_a_file_its_other_settings_do_not_matter() {
    let mut facts = good();
    facts.append_only = Some(false);
    facts.appendfsync = Some("everysec".to_owned());
    facts.default_user = DefaultUser::Hidden;
    assert_eq!(judged(&facts).len(), 1);
}

#[test]
fn the_gravest_comes_first() {
    let mut facts = good();
    facts.appendfsync = None;
    facts.maxmemory_policy = Some("volatile-lru".to_owned());
    let severities: Vec<Severity> = judged(&facts).iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Unknown]);
}

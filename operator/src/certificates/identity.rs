//! Who asks, as the front proxy tells it in headers.

use std::collections::BTreeMap;

use axum::http::HeaderMap;

/// The group of everybody who is known.
const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody else.
const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of everybody else.
const ANONYMOUS: &str = "system:anonymous";
/// The group that may do everything.
const MASTERS: &str = "system:masters";

/// A user of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Their name.
    pub user: String,
    /// Their UID, where one is known.
    pub uid: Option<String>,
    /// The groups that they are in.
    pub groups: Vec<String>,
    /// What else is known.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The names of the headers that tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderNames {
    /// Of the user; the first that is there counts.
    pub user: Vec<String>,
    /// Of the UID; the first that is there counts.
    pub uid: Vec<String>,
    /// Of groups; all count.
    pub group: Vec<String>,
    /// What else is known starts with one of these.
    pub extra_prefix: Vec<String>,
}

impl HeaderNames {
    /// Who asks; none where no header names a user.
    pub fn identity(&self, headers: &HeaderMap) -> Option<Identity> {
        let user = first(&self.user, headers)?;
        let mut groups: Vec<String> = self.group.iter().flat_map(|name| all(name, headers)).collect();
        // As each of Kubernetes' own servers does.
        let told = groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED);
        if !told && user != ANONYMOUS {
            groups.push(AUTHENTICATED.to_owned());
        }
        Some(Identity { user, uid: first(&self.uid, headers), groups, extra: self.extra(headers) })
    }

    fn extra(&self, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in headers.keys() {
            let mut keys =
                self.extra_prefix.iter().filter_map(|prefix| without_prefix(name.as_str(), prefix));
            if let Some(key) = keys.next() {
                extra.entry(unescaped(key)).or_default().extend(all(name.as_str(), headers));
            }
        }
        extra
    }
}

impl Identity {
    /// Whether they may do everything, which nobody has to ask for.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

/// The rest of a header's name, which is in lower case already; none: it is another header.
fn without_prefix<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix.to_ascii_lowercase().as_str()).filter(|key| !key.is_empty())
}

fn first(names: &[String], headers: &HeaderMap) -> Option<String> {
    names.iter().find_map(|name| all(name, headers).find(|text| !text.is_empty()))
}

fn all<'a>(name: &str, headers: &'a HeaderMap) -> impl Iterator<Item = String> + use<'a> {
    let values = headers.get_all(name.to_ascii_lowercase()).into_iter();
    values.filter_map(|value| String::from_utf8(value.as_bytes().to_vec()).ok())
}

/// Undoes percent encoding, in lower case as Kubernetes' keys are; what is no such text stays as it is.
fn unescaped(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| byte == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_or_else(|_| key.to_owned(), |text| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn names() -> HeaderNames {
        let one = |name: &str| vec![name.to_owned()];
        HeaderNames {
            user: vec!["X-Remote-User".to_owned(), "X-Other-User".to_owned()],
            uid: one("X-Remote-Uid"),
            group: one("X-Remote-Group"),
            extra_prefix: one("X-Remote-Extra-"),
        }
    }

    fn identity(headers: &[(&str, &'static str)]) -> Option<Identity> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_static(value));
        }
        names().identity(&map)
    }

    #[test]
    fn all_that_is_told_is_heard() {
        let found = identity(&[
            ("X-Remote-User", "jane"),
            ("X-Remote-Uid", "u-1"),
            ("X-Remote-Group", "a"),
            ("X-Remote-Group", "b"),
            ("X-Remote-Extra-Example.com%2fKey", "one"),
            ("X-Remote-Extra-Example.com%2fKey", "two"),
            ("X-Remote-Extra-", "no key"),
        ]);
        let two = |one: &str, other: &str| vec![one.to_owned(), other.to_owned()];
        let expected = Identity {
            user: "jane".to_owned(),
            uid: Some("u-1".to_owned()),
            groups: vec!["a".to_owned(), "b".to_owned(), AUTHENTICATED.to_owned()],
            extra: BTreeMap::from([("example.com/key".to_owned(), two("one", "two"))]),
        };
        assert_eq!(found, Some(expected));
    }

    #[test]
    fn somebody_must_be_named() {
        assert_eq!(identity(&[("X-Remote-Group", "system:masters")]), None);
        assert_eq!(identity(&[("X-Remote-User", "")]), None);
        assert_eq!(identity(&[("X-Other-User", "joe")]).unwrap().user, "joe");
    }

    #[test]
    fn who_is_known_is_in_the_group_of_the_known() {
        let groups =
            |user, group| identity(&[("X-Remote-User", user), ("X-Remote-Group", group)]).unwrap().groups;
        assert_eq!(groups("jane", "a"), ["a", AUTHENTICATED]);
        assert_eq!(groups("jane", AUTHENTICATED), [AUTHENTICATED]);
        assert_eq!(groups(ANONYMOUS, UNAUTHENTICATED), [UNAUTHENTICATED]);
        assert_eq!(groups(ANONYMOUS, "a"), ["a"]);
        assert!(identity(&[("X-Remote-User", "k"), ("X-Remote-Group", MASTERS)]).unwrap().is_master());
    }

    #[test]
    fn keys_are_unescaped() {
        let cases = [("a%2fb", "a/b"), ("a%2", "a%2"), ("%zz", "%zz"), ("%ff", "%ff"), ("Ab", "ab")];
        for (key, expected) in cases {
            assert_eq!(unescaped(key), expected);
        }
    }
}

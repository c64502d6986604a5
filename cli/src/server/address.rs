//! Where a server is, and what its key is. The key comes from the environment or a file, never from the command
//! line, which other users of the machine can read.

use std::path::{Path, PathBuf};

use docmill_worker::secret::Secret;
use reqwest::Url;

use crate::failure::Failure;

/// The variable of the key.
pub const KEY_VARIABLE: &str = "DOCMILL_API_KEY";
/// The file of the token, below the data directory.
const TOKEN_FILE: &str = "api-token";
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 4_096;
/// What to do where a key lacks or is wrong.
const KEY_ADVICE: &str =
    "set DOCMILL_API_KEY, or give --api-key-file FILE; `docmill-worker keys create` makes a key";

/// Reads an address; one without a scheme is not guessed.
pub fn url(given: &str) -> Result<Url, Failure> {
    let wrong = |what: &str| {
        Failure::new(
            "bad_server",
            format!("--server {given}: {what}"),
            "use http://HOST[:PORT] or https://…",
        )
    };
    let mut url = Url::parse(given).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it is no address of HTTP"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not repeated: it may be a secret.
        let message = "--server has a user or a password in it";
        return Err(Failure::new("bad_server", message, KEY_ADVICE));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{path}/"));
    Ok(url)
}

/// Whether only this machine sees what is sent there.
pub fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// The key: of the file, else of the environment; none where neither is given.
pub fn key(file: Option<&Path>, variable: Option<String>) -> Result<Option<Secret>, Failure> {
    let text = match file {
        Some(file) => Some(std::fs::read_to_string(file).map_err(|error| {
            let message = format!("--api-key-file {}: {error}", file.display());
            Failure::new("key_unreadable", message, "check the path and its permissions")
        })?),
        None => variable,
    };
    let Some(key) = text.map(|text| text.trim().to_owned()).filter(|key| !key.is_empty()) else {
        return match file {
            Some(file) => {
                let message = format!("--api-key-file {}: there is nothing in it", file.display());
                Err(Failure::new("key_unreadable", message, KEY_ADVICE))
            }
            None => Ok(None),
        };
    };
    if key.len() > KEY_BYTES_MAX || !key.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::new("key_unreadable", "the key has characters that no key has", KEY_ADVICE));
    }
    Ok(Some(Secret::new(key)))
}

/// The token that changes need at `docmill serve` of this data directory, where it wrote one.
pub fn token(data_dir: PathBuf) -> Option<Secret> {
    let text = std::fs::read_to_string(data_dir.join(TOKEN_FILE)).ok()?;
    key(None, Some(text)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_end_with_a_slash_and_hold_no_secret() {
        let cases = [
            ("http://localhost:8080", Some("http://localhost:8080/")),
            ("https://docs.example/mill?x#y", Some("https://docs.example/mill/")),
            ("http://[::1]:80/", Some("http://[::1]/")),
            ("localhost:8080", None),
            ("ftp://host", None),
            ("http://me:secret@host", None),
            ("", None),
        ];
        for (given, expected) in cases {
            assert_eq!(url(given).ok().as_ref().map(Url::as_str), expected, "{given}");
        }
    }

    #[test]
    fn a_served_data_directory_has_its_token() {
        let dir = tempfile::tempdir().unwrap();
        assert!(token(dir.path().to_owned()).is_none());
        std::fs::write(dir.path().join(TOKEN_FILE), "0123abcd\n").unwrap();
        assert_eq!(token(dir.path().to_owned()).unwrap().expose(), "0123abcd");
    }

    #[test]
    fn loopback_is_local() {
        for (given, local) in [
            ("http://localhost:1", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:8", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_local(&url(given).unwrap()), local, "{given}");
        }
    }

    #[test]
    fn a_key_is_one_word() {
        let of = |text: &str| key(None, Some(text.to_owned()));
        assert_eq!(of(" docmill_a_b\n").unwrap().unwrap().expose(), "docmill_a_b");
        assert!(of("").unwrap().is_none() && key(None, None).unwrap().is_none());
        assert!(of("two words").is_err());
    }
}

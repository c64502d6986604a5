//! TLS to the server, as `ledger.postgres.tlsCaFile` asks for it.

use std::path::Path;
use std::time::Duration;

use docmill_tests::services::certificates;
use docmill_tests::services::postgres::shared;
use docmill_tests::services::tls_front::TlsFront;
use docmill_worker::postgres::{Database, Error, Options};
use tempfile::TempDir;

use super::server::{NEEDS, refusal};

fn authority() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    certificates::write(dir.path());
    dir
}

/// A schema of its own at this address, with TLS by this authority.
fn with_tls(url: String, authority: &Path) -> Options {
    Options { url, tls_ca_file: Some(authority.join("ca.pem")), ..shared().fresh() }
}

/// With the authority that signed its certificate a server is used by every name in it, and whoever listens on the
/// way reads nothing; without TLS all can be read there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_on_the_way_reads_what_is_said() {
    let dir = authority();
    let front = TlsFront::start(shared().port(), dir.path());
    for host in ["127.0.0.1", "localhost"] {
        let options = with_tls(front.url(host), dir.path());
        let database = Database::open(&options).await.unwrap();
        assert_eq!(database.check(&NEEDS).await.unwrap(), []);
        assert!(front.heard_bytes() > 0);
        for said in [options.schema.as_str(), &options.user, "SELECT"] {
            assert!(!front.heard(said), "{said} was readable");
        }
    }
    let plain = Options { url: front.url("localhost"), ..shared().fresh() };
    drop(Database::open(&plain).await.unwrap());
    for said in [plain.schema.as_str(), &plain.user, "SELECT"] {
        assert!(front.heard(said), "{said} was not on the wire");
    }
}

/// Another authority's certificate, or one for other names, is no reason to say anything, the user's name least.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_prove_its_name_is_refused() {
    let (dir, stranger) = (authority(), authority());
    let front = TlsFront::start(shared().port(), dir.path());
    let here = front.url("localhost");
    let elsewhere = format!("{}?hostaddr=127.0.0.1", front.url("ledger.example"));
    let refused = [
        (with_tls(here, stranger.path()), "certificate"),
        (with_tls(elsewhere, dir.path()), "not valid for name \"ledger.example\""),
    ];
    for (options, word) in refused {
        let (error, took) = refusal(&options).await;
        assert!(matches!(error, Error::Unreachable(_)), "{error}");
        assert!(error.to_string().contains(word), "{error}");
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(!front.heard(&options.user) && !front.heard(options.schema.as_str()));
    }
}

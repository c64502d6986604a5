//! Tokens that an operator signs, at the address that is the operator's.

use std::path::Path;

use docmill_tests::services::issuer::{SigningKey, now_s, signed_with_secret, unsigned};
use docmill_tests::services::process::wait_until;
use docmill_worker::api::operator::{ISSUER, LASTS_MAX_S, OperatorTokens};
use docmill_worker::config::OperatorSettings;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::house::{CANARY, House};

const AUDIENCE: &str = "5f0c9a3e-0b0e-4c57-9f57-2f6d3f3f7a11";
const STREAM: &str = "/internal/v1/observations?intervalMs=100";

fn pair(kid: &str) -> SigningKey {
    SigningKey::generate(kid, Algorithm::EdDSA)
}

/// Claims of a good token that was made and ends so many seconds from now.
fn claims(made: i64, ends: i64) -> Value {
    let at = |seconds: i64| now_s().saturating_add_signed(seconds);
    json!({"iss": ISSUER, "aud": AUDIENCE, "iat": at(made), "exp": at(ends)})
}

/// Good claims with one changed.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims(0, 60);
    claims[name] = value;
    claims
}

fn tokens(file: &Path) -> OperatorTokens {
    OperatorTokens::new(&OperatorSettings { audience: AUDIENCE.to_owned(), keys_file: file.to_owned() })
}

#[test]
fn only_what_the_operator_signed_for_this_pipeline_just_now_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.pem");
    let [current, previous, thief] = ["current", "previous", "current"].map(pair);
    std::fs::write(&file, format!("{}{}", current.public_pem(), previous.public_pem())).unwrap();
    let tokens = tokens(&file);
    let lasts = i64::try_from(LASTS_MAX_S).unwrap();
    for good in [
        current.sign(&claims(0, 60)),
        previous.sign(&claims(0, 60)),
        current.sign(&claims(0, lasts)),
        // Clocks that are a little apart.
        current.sign(&claims(3, 63)),
        current.sign(&claims(-60, -1)),
    ] {
        assert!(tokens.accepts(&good));
    }
    let own = current.sign(&claims(0, 60));
    let of = |token: &str, at: usize| token.split('.').nth(at).unwrap().to_owned();
    let changed = of(&current.sign(&with("aud", json!("another"))), 1);
    let head = |algorithm: &str| json!({"alg": algorithm, "typ": "JWT"});
    for (what, bad) in [
        ("for another pipeline", current.sign(&with("aud", json!("another")))),
        ("for several", current.sign(&with("aud", json!([AUDIENCE, "another"])))),
        ("for nobody", current.sign(&with("aud", Value::Null))),
        ("of another issuer", current.sign(&with("iss", json!("somebody")))),
        ("without an end", current.sign(&with("exp", Value::Null))),
        ("without a beginning", current.sign(&with("iat", Value::Null))),
        ("expired", current.sign(&claims(-60, -30))),
        ("too long-lived", current.sign(&claims(0, lasts + 1))),
        ("for ever", current.sign(&with("exp", json!(u64::MAX)))),
        ("from the future", current.sign(&claims(30, 60))),
        ("ended before it began", current.sign(&claims(60, 0))),
        ("of another key", thief.sign(&claims(0, 60))),
        ("of another kind of key", SigningKey::generate("current", Algorithm::ES256).sign(&claims(0, 60))),
        ("with other claims", format!("{}.{changed}.{}", of(&own, 0), of(&own, 2))),
        ("unsigned", unsigned(&head("none"), &claims(0, 60))),
        ("without its signature", unsigned(&head("EdDSA"), &claims(0, 60))),
        ("shared", signed_with_secret("current", Algorithm::HS256, &current.public, &claims(0, 60))),
        (
            "shared as PEM",
            signed_with_secret("c", Algorithm::HS256, current.public_pem().as_bytes(), &claims(0, 60)),
        ),
        ("too long", current.sign(&with("sub", json!("x".repeat(4_000))))),
        ("no token", "x".to_owned()),
        ("nothing", String::new()),
    ] {
        assert!(!tokens.accepts(&bad), "{what}");
    }
}

#[test]
fn keys_change_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.pem");
    let tokens = tokens(&file);
    let [old, new] = ["old", "new"].map(pair);
    let is_good = |key: &SigningKey| tokens.accepts(&key.sign(&claims(0, 60)));
    assert!(!is_good(&old), "there is no file");
    std::fs::write(&file, old.public_pem()).unwrap();
    wait_until("the first key", || is_good(&old));
    assert!(!is_good(&new));
    // As a ConfigMap changes: another file takes the name.
    let next = dir.path().join("next");
    std::fs::write(&next, format!("{}{}", new.public_pem(), old.public_pem())).unwrap();
    std::fs::rename(&next, &file).unwrap();
    wait_until("the new key", || is_good(&new));
    assert!(is_good(&old));
    std::fs::write(&file, new.public_pem()).unwrap();
    wait_until("the old key is forgotten", || !is_good(&old));
    assert!(is_good(&new));
    std::fs::write(&file, "").unwrap();
    wait_until("no key is there", || !is_good(&new));
    std::fs::remove_file(&file).unwrap();
    assert!(!is_good(&new));
    std::fs::write(&file, new.public_pem()).unwrap();
    wait_until("it is back", || is_good(&new));
}

#[test]
fn the_operator_is_let_in_by_its_token_and_told_nothing_without() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.pem");
    let key = pair("key");
    std::fs::write(&file, key.public_pem()).unwrap();
    let section = format!("  operator: {{audience: {AUDIENCE}, keysFile: {}}}\n", file.display());
    let house = House::new(&section);
    let api = house.api();
    let token = key.sign(&claims(0, 60));
    // Beside the token of the configuration.
    for shown in [CANARY, token.as_str()] {
        let line = api.internal(Some(shown)).first_line(STREAM).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["queueReachable"], true);
        let nobody = api.internal(Some(shown)).post("/internal/v1/workers/nobody/drain", &json!({}));
        assert_eq!(nobody.status, 404);
    }
    let refused = |shown: Option<&str>| {
        let answer = api.internal(shown).get(STREAM);
        assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("token_needed")));
        answer.text()
    };
    let why = [key.sign(&claims(-60, -30)), key.sign(&with("aud", json!("another"))), "x".to_owned()];
    for shown in &why {
        assert_eq!(refused(Some(shown)), refused(None), "no reason is told");
    }
    assert!(api.log().contains("a token of the operator was refused"));
    // It is the operator's word, and no user's.
    assert_eq!(api.client(Some(&token)).send("POST", "/v1/batches", &[], b"{}").unwrap().status, 401);
    house.nothing_leaked(&[&token, &why[0]]);
    api.ends_well();
}

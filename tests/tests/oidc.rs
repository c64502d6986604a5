//! Tokens of an OpenID Connect issuer at `docmill-worker api`: real processes, a real issuer over HTTP.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used, clippy::large_futures)]

#[path = "api/house.rs"]
#[allow(dead_code, reason = "what other tests of the API need")]
mod house;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use docmill_tests::services::certificates;
use docmill_tests::services::http::{Answer, Client, form};
use docmill_tests::services::issuer::{
    AUDIENCE, Issuer, Manner, SigningKey, now_s, signed_with_secret, unsigned,
};
use docmill_tests::services::process::wait_until;
use docmill_worker::api::oidc;
use docmill_worker::config::OidcSettings;
use docmill_worker::finding::Severity;
use house::{House, Running};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

const ALL: &str = "openid docmill:read docmill:write";
/// Seconds that lie beyond the leeway of a test's configuration.
const BEYOND_LEEWAY_S: u64 = 60;

fn get(api: &Running, token: &str, path: &str) -> Answer {
    api.client(Some(token)).get(path)
}

fn upload(client: &Client) -> Answer {
    let (kind, body) =
        form(&[("a.txt", b"Letter: the barometer fell all night, and fog lay in the harbour.")]);
    client.send("POST", "/v1/documents?uri=same.txt", &[("content-type", &kind)], &body).unwrap()
}

#[test]
fn tokens_of_all_algorithms_and_keys_work_side_by_side() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let issuer = Issuer::start();
    let house = House::new(&issuer.section());
    // No key was ever made; that there is an issuer is enough to be more than this machine's.
    let api = house.api();
    let mut tokens = Vec::new();
    for algorithm in [ES256, RS256, RS384, RS512, PS256, PS384, PS512, ES384, EdDSA] {
        let key = SigningKey::generate(&format!("{algorithm:?}"), algorithm);
        issuer.publish(&key);
        tokens.push(key.sign(&issuer.claims("one", ALL)));
    }
    for token in &tokens {
        // Keys came one by one: each may need another look at the issuer.
        wait_until("its keys", || get(&api, token, "/v1/documents").status == 200);
        let from_afar =
            api.client(Some(token)).send("GET", "/v1/documents", &[("host", "docs.example")], b"");
        assert_eq!(from_afar.unwrap().status, 200);
    }
    assert!(!house.token_file().exists(), "there is no token of this machine");
    assert_eq!(api.client(None).get("/v1/documents").status, 401);

    let (one, two) = (api.client(Some(&tokens[0])), house.key("two", "read,write"));
    let two = api.client(Some(&two));
    let of_two_by_token = SigningKey::generate("of-two", ES256);
    issuer.publish(&of_two_by_token);
    let of_two_by_token = of_two_by_token.sign(&issuer.claims("two", ALL));
    wait_until("the new key", || get(&api, &of_two_by_token, "/v1/documents").status == 200);
    let ids: Vec<String> = [&one, &two]
        .iter()
        .map(|client| {
            let answer = upload(client);
            assert_eq!(answer.status, 202, "{}", answer.text());
            answer.json()["documents"][0]["id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_ne!(ids[0], ids[1]);
    // Who comes by a token of the tenant sees what the key of the tenant sees, and nothing else.
    for (client, own, other) in [
        (&one, &ids[0], &ids[1]),
        (&two, &ids[1], &ids[0]),
        (&api.client(Some(&of_two_by_token)), &ids[1], &ids[0]),
    ] {
        assert_eq!(client.get(&format!("/v1/documents/{own}")).status, 200);
        assert_eq!(client.get(&format!("/v1/documents/{other}")).status, 404);
        let listed = client.get("/v1/documents").json();
        assert_eq!(listed["documents"].as_array().unwrap().len(), 1, "{listed}");
    }
    house.nothing_leaked(&[tokens[0].as_str(), of_two_by_token.as_str()]);
    api.ends_well();
}

/// Good claims with one changed.
fn with(issuer: &Issuer, name: &str, value: Value) -> Value {
    let mut claims = issuer.claims("one", ALL);
    claims[name] = value;
    claims
}

#[test]
fn what_is_not_good_is_refused_without_saying_why() {
    let issuer = Issuer::start();
    let house = House::new(&issuer.section());
    let api = house.api();
    let rsa = SigningKey::generate("rsa", Algorithm::RS256);
    let ec = SigningKey::generate("ec", Algorithm::ES256);
    issuer.publish(&rsa);
    issuer.publish(&ec);
    let good = issuer.claims("one", ALL);
    wait_until("its keys", || get(&api, &ec.sign(&good), "/v1/documents").status == 200);
    assert_eq!(get(&api, &rsa.sign(&good), "/v1/documents").status, 200);
    let of_thief = SigningKey::generate("ec", Algorithm::ES256);
    let modulus = rsa.jwk["n"].as_str().unwrap().as_bytes();
    let late = now_s() - BEYOND_LEEWAY_S;
    let changed = |name: &str, value: Value| ec.sign(&with(&issuer, name, value));
    let of = |token: &str, at: usize| token.split('.').nth(at).unwrap().to_owned();
    let (own, admins) = (ec.sign(&good), changed("scope", json!("docmill:admin")));
    let bad = [
        ("for another audience", changed("aud", json!("another"))),
        ("for others", changed("aud", json!(["another", "third"]))),
        ("for nobody", changed("aud", Value::Null)),
        ("of another issuer", changed("iss", json!("https://another.example"))),
        ("of an issuer with a slash more", changed("iss", json!(format!("{}/", issuer.url())))),
        ("of a list of issuers", changed("iss", json!([issuer.url()]))),
        ("of nobody", changed("iss", Value::Null)),
        ("expired", changed("exp", json!(late))),
        ("for ever", changed("exp", Value::Null)),
        ("with no time as its end", changed("exp", json!("tomorrow"))),
        ("not valid yet", changed("nbf", json!(now_s() + BEYOND_LEEWAY_S))),
        ("with no time as its begin", changed("nbf", json!("today"))),
        ("not signed", unsigned(&json!({"alg": "none", "kid": "ec"}), &good)),
        ("not signed, in other words", unsigned(&json!({"alg": "nOnE", "kid": "ec"}), &good)),
        ("not signed, but says so", unsigned(&json!({"alg": "ES256", "kid": "ec"}), &good)),
        (
            "signed with the public key as secret",
            signed_with_secret("rsa", Algorithm::HS256, &rsa.public, &good),
        ),
        ("signed with its modulus as secret", signed_with_secret("rsa", Algorithm::HS512, modulus, &good)),
        ("signed with nothing as secret", signed_with_secret("ec", Algorithm::HS256, b"", &good)),
        ("signed with somebody's key of that name", of_thief.sign(&good)),
        ("signed with another algorithm than the key's", rsa.sign_as("rsa", Algorithm::PS256, &good)),
        ("signed with one key in the name of another", rsa.sign_as("ec", Algorithm::RS256, &good)),
        ("of an unknown key", ec.sign_as("unknown", Algorithm::ES256, &good)),
        ("of a key with a strange name", ec.sign_as("../../keys'\"\n{}", Algorithm::ES256, &good)),
        ("with the claims of another", format!("{}.{}.{}", of(&own, 0), of(&admins, 1), of(&own, 2))),
        ("cut", own[..own.len() - 4].to_owned()),
        ("long", format!("{own}{}", "A".repeat(20_000))),
        ("of dots", "..".to_owned()),
        ("of garbage", "a.b.c".to_owned()),
        ("of no object", format!("{}.{}.{}", of(&own, 0), "WzFd", of(&own, 2))),
    ];
    let mut said = Vec::new();
    for (what, token) in &bad {
        let answer = get(&api, token, "/v1/documents");
        assert_eq!(answer.status, 401, "a token {what}: {}", answer.text());
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{what}");
        said.push(answer.text());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "all refusals are one: {said:?}");
    // Good, but of nobody: the issuer has to be told.
    for tenant in [Value::Null, json!(""), json!(7), json!(["one"]), json!("one/two"), json!("../two")] {
        let answer = get(&api, &changed("tenant", tenant.clone()), "/v1/documents");
        assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("tenant_needed")), "{tenant}");
    }
    // What a token may is what it says in our words.
    let may_read = changed("scope", json!(["docmill:read"]));
    assert_eq!(get(&api, &may_read, "/v1/documents").status, 200);
    let answer = upload(&api.client(Some(&may_read)));
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("scope_needed")));
    for scope in
        [json!("read write admin"), json!("openid"), json!(""), Value::Null, json!({"docmill:read": 1})]
    {
        let answer = get(&api, &changed("scope", scope.clone()), "/v1/documents");
        assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("scope_needed")), "{scope}");
    }
    assert_eq!(get(&api, &own, "/v1/queues").status, 403);
    assert_eq!(get(&api, &admins, "/v1/queues").status, 200);
    // Within the leeway clocks may be apart.
    let nearly = ec.sign(&with(&issuer, "exp", json!(now_s() - 1)));
    assert_eq!(get(&api, &nearly, "/v1/documents").status, 200);
    let tokens: Vec<&str> =
        bad.iter().map(|(_, token)| token.as_str()).filter(|token| token.len() > 20).collect();
    house.nothing_leaked(&tokens);
}

#[test]
fn keys_are_rotated_asked_for_seldom_and_outlive_the_issuer() {
    let issuer = Issuer::start();
    // The API may come up before its issuer.
    issuer.go_away();
    let house = House::new(&issuer.section());
    let api = house.api();
    let [old, new, next] = ["old", "new", "next"].map(|kid| SigningKey::generate(kid, Algorithm::ES256));
    let [of_old, of_new, of_next] = [&old, &new, &next].map(|key| key.sign(&issuer.claims("one", ALL)));
    let status = |token: &str| get(&api, token, "/v1/documents").status;
    let answer = get(&api, &of_old, "/v1/documents");
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("issuer_unavailable")));
    assert!(answer.header("retry-after").is_some());
    let of_key = house.key("one", "read");
    assert_eq!(status(&of_key), 200, "keys need no issuer");
    issuer.publish(&old);
    issuer.come_back();
    wait_until("the issuer", || status(&of_old) == 200);

    // A key that nobody heard of is asked for, and one that was withdrawn goes.
    issuer.publish(&new);
    issuer.withdraw(&old);
    wait_until("the new key", || status(&of_new) == 200);
    assert_eq!(status(&of_old), 401);

    // However many ask in vain, the issuer is asked every few seconds, and who is known does not wait.
    let (before, began, asked) = (issuer.visits(), Instant::now(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (issuer, new, api, asked) = (&issuer, &new, &api, &asked);
            scope.spawn(move || {
                for n in 0..50 {
                    let kid = format!("junk-{thread}-{n}");
                    let junk = new.sign_as(&kid, Algorithm::ES256, &issuer.claims("one", ALL));
                    assert_eq!(get(api, &junk, "/v1/documents").status, 401);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        assert_eq!(status(&of_new), 200);
    });
    let (visits, seconds) = (issuer.visits() - before, began.elapsed().as_secs());
    let most = 2 + usize::try_from(seconds / 3).unwrap();
    println!("{} tokens of unknown keys in {seconds} s: {visits} visits", asked.load(Ordering::Relaxed));
    assert!(visits <= most, "{visits} visits in {seconds} s");

    // While it is away or hangs, what is known works; the rest is told to come again.
    issuer.publish(&next);
    issuer.go_away();
    wait_until("it is missed", || status(&of_next) == 503);
    assert_eq!(status(&of_new), 200);
    issuer.behave(Manner::Slow);
    issuer.come_back();
    let before = issuer.visits();
    wait_until("it hangs", || {
        assert_eq!((status(&of_next), status(&of_new)), (503, 200));
        issuer.visits() > before
    });
    issuer.behave(Manner::Good);
    wait_until("it is back", || status(&of_next) == 200);
    api.ends_well();
}

fn settings(issuer: &Issuer) -> OidcSettings {
    OidcSettings {
        issuer: issuer.url().to_owned(),
        audience: AUDIENCE.to_owned(),
        tenant_claim: "tenant".to_owned(),
        scope_claim: "scope".to_owned(),
        tls_ca_file: None,
        allow_http: true,
        leeway: Duration::ZERO,
        timeout: Duration::from_millis(500),
        keys_max_age: Duration::from_secs(60),
    }
}

/// What is wrong with it, without the warning that there is no TLS.
async fn errors(settings: &OidcSettings) -> Vec<String> {
    let findings = oidc::check(settings).await;
    let errors = findings.into_iter().filter(|finding| finding.severity == Severity::Error);
    errors
        .map(|finding| {
            assert!(!finding.what_to_do.is_empty());
            finding.what
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_misbehaves_is_told_from_one_that_does_not() {
    let issuer = tokio::task::spawn_blocking(Issuer::start).await.unwrap();
    let key = SigningKey::generate("k", Algorithm::ES256);
    issuer.publish(&key);
    let settings = settings(&issuer);
    assert_eq!(errors(&settings).await, Vec::<String>::new());
    for (manner, word) in [
        (Manner::Slow, "within 500 ms"),
        (Manner::Huge, "more than"),
        (Manner::Garbage, "not what"),
        (Manner::OtherForm, "not what"),
        (Manner::Failing, "status 500"),
        (Manner::Redirecting, "status 302"),
        (Manner::Another, "calls itself \"https://another.example\""),
        (Manner::Keyless, "no key that can be used"),
    ] {
        issuer.behave(manner);
        let found = errors(&settings).await;
        assert!(found.len() == 1 && found[0].contains(word), "{manner:?}: {found:?}");
    }
    issuer.behave(Manner::Good);
    let without = OidcSettings { allow_http: false, ..settings.clone() };
    assert_eq!(errors(&without).await.len(), 1, "without TLS nothing is asked");
    tokio::task::spawn_blocking(move || drop(issuer)).await.unwrap();
    let found = errors(&settings).await;
    assert!(found[0].contains("cannot be reached"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_with_tls_has_to_be_trusted() {
    let dir = tempfile::tempdir().unwrap();
    certificates::write(dir.path());
    let certificates = dir.path().to_owned();
    let issuer = tokio::task::spawn_blocking(move || Issuer::start_with_tls(&certificates)).await.unwrap();
    issuer.publish(&SigningKey::generate("k", Algorithm::EdDSA));
    let strict = OidcSettings { allow_http: false, ..settings(&issuer) };
    let found = errors(&strict).await;
    assert!(found.len() == 1 && found[0].contains("certificate"), "{found:?}");
    let trusting = OidcSettings { tls_ca_file: Some(dir.path().join("ca.pem")), ..strict.clone() };
    assert_eq!(errors(&trusting).await, Vec::<String>::new());
    let lost = OidcSettings { tls_ca_file: Some(dir.path().join("server.key")), ..strict };
    assert!(errors(&lost).await[0].contains("server.key"));
    tokio::task::spawn_blocking(move || drop(issuer)).await.unwrap();
}

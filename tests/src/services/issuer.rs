//! An OpenID Connect issuer as far as an API meets one: it describes itself, publishes keys and signs tokens. It
//! rotates its keys, goes away, and behaves as badly as it is told to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::certificates;
use super::process::free_port;

/// Below which path it is, as issuers with more than one realm are.
const PATH: &str = "/realms/test";
/// What tokens for the API of a test are for.
pub const AUDIENCE: &str = "docmill-test";
/// Bytes before the RSA key proper in the form that key pairs of 2048 bits are generated in.
const PKCS8_BEFORE_RSA_2048: usize = 26;
/// Bytes before a public key of Ed25519 in the form that PEM has it in.
const BEFORE_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Larger than whatever anybody should read.
const HUGE_BYTES: usize = 8 << 20;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Good,
    /// It takes the request and never answers.
    Slow,
    /// With more than anybody wants.
    Huge,
    /// With what is no JSON.
    Garbage,
    /// With JSON of another form.
    OtherForm,
    /// With a failure of its own.
    Failing,
    /// It sends elsewhere.
    Redirecting,
    /// It describes somebody else.
    Another,
    /// It publishes no keys.
    Keyless,
}

/// A running issuer.
pub struct Issuer {
    port: u16,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    runtime: Mutex<Option<Runtime>>,
}

struct Shared {
    url: String,
    state: Mutex<Published>,
}

#[derive(Clone)]
struct Published {
    manner: Manner,
    keys: BTreeMap<String, Value>,
    visits: usize,
}

impl Issuer {
    /// Starts one without TLS.
    pub fn start() -> Self {
        let port = free_port();
        Self::on(port, format!("http://127.0.0.1:{port}{PATH}"), None)
    }

    /// Starts one with the certificate that [`super::certificates::write`] put into this directory.
    pub fn start_with_tls(certificates: &Path) -> Self {
        let port = free_port();
        let config = certificates::server_config(certificates);
        Self::on(port, format!("https://localhost:{port}{PATH}"), Some(config))
    }

    fn on(port: u16, url: String, tls: Option<Arc<ServerConfig>>) -> Self {
        let published = Published { manner: Manner::Good, keys: BTreeMap::new(), visits: 0 };
        let shared = Arc::new(Shared { url, state: Mutex::new(published) });
        let issuer = Self { port, tls, shared, runtime: Mutex::default() };
        issuer.come_back();
        issuer
    }

    /// Its URL, as tokens name it.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// The section `oidc` of an API that takes its tokens, indented below `api`.
    pub fn section(&self) -> String {
        format!(
            "  oidc:\n    issuer: {}\n    audience: {AUDIENCE}\n    allowHttp: true\n    timeoutMs: 1000\n    \
             keysMaxAgeS: 10\n    leewayS: 5\n",
            self.url()
        )
    }

    /// From now on it answers so.
    pub fn behave(&self, manner: Manner) {
        self.shared.state.lock().unwrap().manner = manner;
    }

    /// How often it was asked to describe itself.
    pub fn visits(&self) -> usize {
        self.shared.state.lock().unwrap().visits
    }

    /// Publishes a key.
    pub fn publish(&self, key: &SigningKey) {
        self.shared.state.lock().unwrap().keys.insert(key.kid.clone(), key.jwk.clone());
    }

    /// Publishes it no more.
    pub fn withdraw(&self, key: &SigningKey) {
        self.shared.state.lock().unwrap().keys.remove(&key.kid);
    }

    /// Nobody listens any more.
    pub fn go_away(&self) {
        if let Some(runtime) = self.runtime.lock().unwrap().take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }

    /// It listens again, where it was.
    pub fn come_back(&self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", self.port))).unwrap();
        let router = Router::new()
            .route(&format!("{PATH}/.well-known/openid-configuration"), get(describe))
            .route(&format!("{PATH}/keys"), get(keys))
            .with_state(self.shared.clone());
        match self.tls.clone() {
            None => drop(runtime.spawn(async { axum::serve(listener, router).await })),
            Some(config) => {
                let listener = WithTls { listener, acceptor: TlsAcceptor::from(config) };
                drop(runtime.spawn(async { axum::serve(listener, router).await }));
            }
        }
        *self.runtime.lock().unwrap() = Some(runtime);
    }

    /// Claims of a good token of this tenant, for an hour.
    pub fn claims(&self, tenant: &str, scope: &str) -> Value {
        json!({
            "iss": self.url(), "aud": AUDIENCE, "sub": "somebody", "tenant": tenant, "scope": scope,
            "iat": now_s(), "nbf": now_s(), "exp": now_s() + 3_600,
        })
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.go_away();
    }
}

/// Seconds of the clock that tokens go by.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn describe(State(shared): State<Arc<Shared>>) -> Response {
    let manner = {
        let mut state = shared.state.lock().unwrap();
        state.visits += 1;
        state.manner
    };
    let issuer = if manner == Manner::Another { "https://another.example" } else { &shared.url };
    let description = json!({"issuer": issuer, "jwks_uri": format!("{}/keys", shared.url)});
    answer(manner, &shared.url, description).await
}

async fn keys(State(shared): State<Arc<Shared>>) -> Response {
    let Published { manner, keys, .. } = shared.state.lock().unwrap().clone();
    let keys: Vec<Value> =
        if manner == Manner::Keyless { Vec::new() } else { keys.into_values().collect() };
    answer(manner, &shared.url, json!({"keys": keys})).await
}

async fn answer(manner: Manner, url: &str, good: Value) -> Response {
    let json = |text: String| ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    match manner {
        Manner::Good | Manner::Another | Manner::Keyless => json(good.to_string()),
        Manner::Slow => std::future::pending().await,
        Manner::Huge => json(format!("{}{good}", " ".repeat(HUGE_BYTES))),
        Manner::Garbage => json("<html>Bad gateway</html>".to_owned()),
        Manner::OtherForm => json(json!({"keys": "none", "issuer": 7}).to_string()),
        Manner::Failing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Manner::Redirecting => {
            (StatusCode::FOUND, [(header::LOCATION, format!("{url}/keys"))]).into_response()
        }
    }
}

/// A listener that speaks TLS.
struct WithTls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for WithTls {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            // A client that does not trust us is gone again.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A key pair of an issuer.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    encoding: EncodingKey,
    /// What is published of it.
    pub jwk: Value,
    /// The public half as bytes, which everybody can have.
    pub public: Vec<u8>,
}

impl SigningKey {
    /// A new one that signs with this algorithm.
    ///
    /// # Panics
    /// The algorithm is none of a key pair.
    pub fn generate(kid: &str, algorithm: Algorithm) -> Self {
        let kind = match algorithm.family() {
            AlgorithmFamily::Rsa => &rcgen::PKCS_RSA_SHA256,
            AlgorithmFamily::Ec if algorithm == Algorithm::ES384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            AlgorithmFamily::Ec => &rcgen::PKCS_ECDSA_P256_SHA256,
            AlgorithmFamily::Ed => &rcgen::PKCS_ED25519,
            AlgorithmFamily::Hmac => panic!("{algorithm:?} has no pair"),
        };
        let pair = KeyPair::generate_for(kind).unwrap();
        let (der, public) = (pair.serialize_der(), pair.public_key_raw().to_vec());
        let encoding = match algorithm.family() {
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_der(&der[PKCS8_BEFORE_RSA_2048..]),
            AlgorithmFamily::Ed => EncodingKey::from_ed_der(&der),
            _ => EncodingKey::from_ec_der(&der),
        };
        let mut jwk = match algorithm.family() {
            // The library knows only keys without their public half.
            AlgorithmFamily::Ed => {
                json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": URL_SAFE_NO_PAD.encode(&public)})
            }
            _ => serde_json::to_value(Jwk::from_encoding_key(&encoding, algorithm).unwrap()).unwrap(),
        };
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        Self { kid: kid.to_owned(), algorithm, encoding, jwk, public }
    }

    /// The public half in PEM.
    ///
    /// # Panics
    /// It is none of Ed25519.
    pub fn public_pem(&self) -> String {
        assert_eq!(self.algorithm, Algorithm::EdDSA);
        let der = [&BEFORE_ED25519[..], &self.public].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.kid, self.algorithm, claims)
    }

    /// The same that names another key or algorithm of the same kind.
    pub fn sign_as(&self, kid: &str, algorithm: Algorithm, claims: &Value) -> String {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }
}

/// A token with this head and no signature.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(header), part(claims))
}

/// A token signed with what both sides would have to keep secret.
pub fn signed_with_secret(kid: &str, algorithm: Algorithm, secret: &[u8], claims: &Value) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

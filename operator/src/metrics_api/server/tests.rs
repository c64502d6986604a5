//! The server over real TLS on loopback.

use std::net::SocketAddr;

use futures::FutureExt;
use futures::future::BoxFuture;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::*;
use crate::certificates::front_proxy::tests::{TestAuthority, cluster};
use crate::certificates::server_tls::{provider, server_config};
use crate::certificates::stored::Stored;
use crate::metrics_api::Value;
use crate::metrics_api::access::AccessError;

const NAME: &str = "docmill-operator.docmill.svc";
const RESOURCES: &str = "/apis/external.metrics.k8s.io/v1beta1";
const BOOKS: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/docmill-queue-demand?labelSelector=docmill.dev%2Fpipeline%3Dbooks";

type ClientCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// One pipeline is known.
struct OnePipeline;

impl Values for OnePipeline {
    fn desired_metric(&self, namespace: &str, pipeline: &str) -> Option<Value> {
        (namespace == "shop" && pipeline == "books")
            .then_some(Value { value: 30, at_ms: 1_790_000_000_000 })
    }
}

/// Jane may, nobody can say it of Joe, and all others may not.
struct Jane;

impl Access for Jane {
    fn may_read<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<bool, AccessError>> {
        let verdict = match question.identity.user.as_str() {
            "joe" => Err(AccessError::Late),
            user => Ok(user == "jane"),
        };
        async move { verdict }.boxed()
    }
}

/// A server on loopback with a front proxy of its own; it ends with its handle.
struct Running {
    address: SocketAddr,
    bundle: String,
    authority: TestAuthority,
    _stop: watch::Sender<bool>,
    front_proxy: watch::Sender<Option<Arc<FrontProxy>>>,
    registry: Registry,
}

impl Running {
    async fn start() -> Self {
        let material = Stored::create(now_ms()).unwrap().material().unwrap();
        let authority = TestAuthority::new("front-proxy-ca");
        let front_proxy = Arc::new(FrontProxy::parse(&cluster(&authority)).unwrap());
        let tls = ServerTls::new();
        let leaf = material.issue(&[NAME.to_owned()], now_ms()).unwrap();
        tls.set(server_config(&leaf, Some(&front_proxy)).unwrap());
        let (sender, receiver) = watch::channel(Some(front_proxy));
        let registry = Registry::new();
        let api = MetricsApi::new(Arc::new(OnePipeline), Arc::new(Jane), receiver, &registry).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(listener, api, tls, stopped));
        let bundle = material.bundle().to_owned();
        Self { address, bundle, authority, _stop: stop, front_proxy: sender, registry }
    }

    fn client(&self) -> Option<ClientCertificate> {
        Some(self.authority.client("front-proxy-client"))
    }

    /// The status and the body of what is answered.
    async fn ask(
        &self,
        certificate: Option<ClientCertificate>,
        line: &str,
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.bundle.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
            None => config.with_no_client_auth(),
        };
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let mut request = format!("{line} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The same for a client of the front proxy that asks in somebody's name, and the body as JSON.
    async fn ask_for(&self, user: &str, path: &str, more: &[(&str, &str)]) -> (u16, Json) {
        let headers = [&[("X-Remote-User", user)][..], more].concat();
        let (code, body) = self.ask(self.client(), &format!("GET {path}"), &headers).await;
        (code, serde_json::from_str(&body).unwrap())
    }
}

fn reason(body: &str) -> String {
    let status: Json = serde_json::from_str(body).unwrap();
    assert_eq!(status["kind"], "Status");
    status["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_front_proxy_gets_the_value() {
    let running = Running::start().await;
    let protobuf_first = [("Accept", "application/vnd.kubernetes.protobuf,application/json")];
    let (code, list) = running.ask_for("jane", BOOKS, &protobuf_first).await;
    assert_eq!((code, &list["kind"]), (200, &Json::from("ExternalMetricValueList")));
    assert_eq!(list["items"][0]["value"], "30");
    let (code, resources) = running.ask_for("joe", RESOURCES, &[]).await;
    assert_eq!((code, &resources["resources"][0]["name"]), (200, &Json::from("externalmetrics")));
}

/// By this name and label alerts and the dashboard read them.
#[tokio::test]
async fn answers_are_timed_by_code() {
    let running = Running::start().await;
    assert_eq!(running.ask_for("jane", BOOKS, &[]).await.0, 200);
    assert_eq!(running.ask_for("john", BOOKS, &[]).await.0, 403);
    let text = prometheus::TextEncoder::new().encode_to_string(&running.registry.gather()).unwrap();
    for code in [200, 403] {
        let line = format!("docmill_operator_metrics_api_answer_seconds_count{{code=\"{code}\"}} 1\n");
        assert!(text.contains(&line), "{text}");
    }
}

#[tokio::test]
async fn nobody_else_gets_anything() {
    let running = Running::start().await;
    let other = TestAuthority::new("front-proxy-ca");
    let strangers =
        [None, Some(other.client("front-proxy-client")), Some(running.authority.client("kubelet"))];
    for certificate in strangers {
        let headers = [("X-Remote-User", "jane")];
        let (code, body) = running.ask(certificate, &format!("GET {BOOKS}"), &headers).await;
        assert_eq!((code, reason(&body).as_str()), (401, "Unauthorized"), "{body}");
    }
    let (code, body) = running.ask(running.client(), &format!("GET {BOOKS}"), &[]).await;
    assert_eq!((code, reason(&body).as_str()), (401, "Unauthorized"));
}

#[tokio::test]
async fn whether_it_lives_everybody_may_know() {
    let running = Running::start().await;
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(running.ask(None, &format!("GET {path}"), &[]).await, (200, "ok".to_owned()));
    }
    running.front_proxy.send_replace(None);
    assert_eq!(running.ask(None, "GET /healthz", &[]).await.0, 200);
    assert_eq!(running.ask(None, "GET /readyz", &[]).await.0, 503);
    assert_eq!(running.ask_for("jane", BOOKS, &[]).await.0, 401);
}

#[tokio::test]
async fn what_cannot_be_answered_is_a_status() {
    let running = Running::start().await;
    let (unknown, other) = (BOOKS.replace("books", "films"), BOOKS.replace("docmill-queue-demand", "lag"));
    let unreadable = BOOKS.replace("%3D", "%21%3D");
    let cases = [
        ("jane", unknown.as_str(), 404, "NotFound"),
        ("jane", other.as_str(), 404, "NotFound"),
        ("jane", "/apis/custom.metrics.k8s.io", 404, "NotFound"),
        ("jane", unreadable.as_str(), 400, "BadRequest"),
        ("john", BOOKS, 403, "Forbidden"),
        ("joe", BOOKS, 503, "ServiceUnavailable"),
    ];
    for (user, path, code, reason) in cases {
        let (found, status) = running.ask_for(user, path, &[]).await;
        assert_eq!((found, &status["reason"]), (code, &Json::from(reason)), "{user} {path}");
        assert_eq!((&status["kind"], &status["code"]), (&Json::from("Status"), &Json::from(code)));
    }
    let discovery = [("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")];
    assert_eq!(running.ask_for("jane", "/apis", &discovery).await.0, 406);
    let (code, body) =
        running.ask(running.client(), &format!("POST {BOOKS}"), &[("X-Remote-User", "jane")]).await;
    assert_eq!((code, reason(&body).as_str()), (405, "MethodNotAllowed"));
}

//! Stands between one operator and the API server: passes on what is asked, keeps a list of all writes, and at a
//! write that was chosen kills the operator, before the write is passed on or before it is answered.
//!
//! The operator talks to it without TLS; it is the administrator to the API server, as the operator would be.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::watching::Watches;

/// Largest body: lists of a thousand objects are far below.
const BODY_MAX: usize = 256 << 20;
/// What says who leads, tells people, or only asks: no writes of what is declared.
const NOT_COUNTED: [&str; 4] = ["leases", "events", "subjectaccessreviews", "selfsubjectaccessreviews"];

/// When the operator is killed at a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It never reaches the API server.
    Before,
    /// It takes effect, and the operator never learns of it.
    After,
}

/// Kills the operator at the write of that number, counted from 1.
pub struct Trap {
    /// The write's number.
    pub at: usize,
    /// Before or after it.
    pub when: When,
    /// Does it. When this returns, the operator is gone.
    pub kill: Box<dyn FnOnce() + Send>,
}

/// A write that was asked for.
#[derive(Debug, Clone)]
pub struct Written {
    /// POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// Its path.
    pub path: String,
    at: Instant,
}

impl Written {
    /// In one line, for people.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// See the module. It ends with its handle.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    serving: AbortHandle,
}

struct Shared {
    client: Client,
    trap: Mutex<Option<Trap>>,
    written: Mutex<Vec<Written>>,
    watches: Arc<Watches>,
    /// Lists of this kind wait, where one is named.
    held: watch::Sender<Option<&'static str>>,
}

impl Proxy {
    /// Passes on to where the client leads.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(client: Client) -> Result<Self> {
        let shared = Arc::new(Shared {
            client,
            trap: Mutex::default(),
            written: Mutex::default(),
            watches: Arc::default(),
            held: watch::Sender::new(None),
        });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Ok(Self { port, shared, serving })
    }

    /// Writes the kubeconfig of who is to talk through it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<()> {
        let port = self.port;
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
             users: [{{name: u, user: {{}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        );
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// Sets the trap; it springs once.
    pub fn set(&self, trap: Trap) {
        *lock(&self.shared.trap) = Some(trap);
    }

    /// Writes so far, in order.
    pub fn written(&self) -> Vec<Written> {
        lock(&self.shared.written).clone()
    }

    /// For how long nothing was written; for ever where nothing ever was.
    pub fn quiet_for(&self) -> Duration {
        lock(&self.shared.written).last().map_or(Duration::MAX, |written| written.at.elapsed())
    }

    /// What watches say.
    pub fn watches(&self) -> &Watches {
        &self.shared.watches
    }

    /// Lists of this kind (such as `deployments`) are not answered until this is called with none.
    pub fn hold_lists(&self, kind: Option<&'static str>) {
        self.shared.held.send_replace(kind);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match shared.pass_on(request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

impl Shared {
    async fn pass_on(&self, request: Request) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let is_watch = parts
            .uri
            .query()
            .is_some_and(|query| query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")));
        let body = to_bytes(body, BODY_MAX).await?;
        let sprung = if is_write(&parts.method, &path) { self.note(&parts.method, &path) } else { None };
        let kill_after = match sprung {
            Some(Trap { when: When::Before, kill, .. }) => {
                kill();
                anyhow::bail!("the operator was killed");
            }
            Some(Trap { kill, .. }) => Some(kill),
            None => None,
        };
        if parts.method == Method::GET && !is_watch {
            let kind = path.rsplit('/').next().unwrap_or_default();
            let mut held = self.held.subscribe();
            held.wait_for(|held| *held != Some(kind)).await?;
        }
        let target = parts.uri.path_and_query().map_or(path.as_str(), |whole| whole.as_str());
        let mut asked = axum::http::Request::builder().method(parts.method.clone()).uri(target);
        for (name, value) in &parts.headers {
            let is_of_the_way = [header::HOST, header::CONNECTION, header::CONTENT_LENGTH].contains(name);
            if !is_of_the_way {
                asked = asked.header(name, value);
            }
        }
        let asked = asked.body(kube::client::Body::from(body.to_vec()))?;
        let answered = self.client.send(asked).await?;
        let (head, body) = answered.into_parts();
        let mut response = Response::builder().status(head.status);
        if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
            response = response.header(header::CONTENT_TYPE, kind);
        }
        let body = Body::new(body);
        if is_watch && head.status.is_success() {
            return Ok(response.body(self.watches.pass(&path, body.into_data_stream()))?);
        }
        let body = to_bytes(body, BODY_MAX).await?;
        if let Some(kill) = kill_after {
            kill();
            anyhow::bail!("the operator was killed");
        }
        Ok(response.body(Body::from(body))?)
    }

    /// Puts a write on the list; gives the trap back where it is the one.
    fn note(&self, method: &Method, path: &str) -> Option<Trap> {
        let mut written = lock(&self.written);
        written.push(Written { method: method.clone(), path: path.to_owned(), at: Instant::now() });
        let mut trap = lock(&self.trap);
        if trap.as_ref().is_some_and(|trap| trap.at == written.len()) { trap.take() } else { None }
    }
}

/// Whether a request writes something that was declared.
fn is_write(method: &Method, path: &str) -> bool {
    let is_mutating = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method);
    is_mutating && !path.split('/').any(|segment| NOT_COUNTED.contains(&segment))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_a_write() {
        let deployment = "/apis/apps/v1/namespaces/n/deployments/p-worker";
        assert!(is_write(&Method::PATCH, deployment) && is_write(&Method::DELETE, deployment));
        assert!(!is_write(&Method::GET, deployment));
        assert!(!is_write(
            &Method::PUT,
            "/apis/coordination.k8s.io/v1/namespaces/n/leases/docmill-operator"
        ));
        assert!(!is_write(&Method::POST, "/apis/events.k8s.io/v1/namespaces/n/events"));
    }
}

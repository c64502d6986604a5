//! How a command that could not do what it was asked says so: a code, a sentence, what to do.

use std::process::ExitCode;

use crate::output::{Screen, escaped};

/// Exit code where something could not be done, or a file has problems; the argument parser's is 2.
pub const ERROR: u8 = 1;

/// Codes of errors, which programs go by, and what each means. Never renamed.
pub const CODES: &[(&str, &str)] = &[
    ("api_key_missing", "The pipeline's API key cannot be read, and DOCMILL_API_KEY is not set"),
    ("bad_kubeconfig", "There is no kubeconfig, or it or the context cannot be used"),
    ("cluster_unreachable", "The cluster does not answer"),
    ("docmill_missing", "The program docmill cannot be started"),
    ("file_unreadable", "A file cannot be read, or is not YAML"),
    ("forbidden", "The cluster does not allow it"),
    ("io", "The output cannot be written"),
    ("kubectl_missing", "The program kubectl cannot be started"),
    ("no_crd", "The cluster does not know pipelines"),
    ("no_pipeline", "There is no IngestionPipeline in the files"),
    ("not_in_time", "It took longer than `--timeout`; it goes on in the cluster"),
    ("pipeline_gone", "The pipeline was deleted meanwhile"),
    ("port_forward_failed", "The API pods cannot be reached"),
    ("refused", "The cluster refused it"),
    ("unknown_pipeline", "There is no such pipeline in the namespace"),
];

/// What went wrong.
#[derive(Debug)]
pub struct Failure {
    /// One of [`CODES`].
    pub code: &'static str,
    message: String,
    advice: String,
}

impl Failure {
    /// With one of [`CODES`].
    pub fn new(code: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        debug_assert!(CODES.iter().any(|(known, _)| *known == code), "{code} is not in the table of codes");
        Self { code, message: message.into(), advice: advice.into() }
    }

    /// A kubeconfig that cannot be used.
    pub fn kubeconfig(error: &dyn std::error::Error) -> Self {
        let advice =
            "check --kubeconfig, --context and KUBECONFIG; `kubectl config get-contexts` lists contexts";
        Self::new("bad_kubeconfig", causes(error), advice)
    }

    /// Tells the user; returns the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        if json {
            let error =
                serde_json::json!({"code": self.code, "message": self.message, "advice": self.advice});
            println!("{}", serde_json::json!({ "error": error }));
        } else {
            let screen = Screen::stderr();
            eprintln!("{}: {}", screen.bad(&format!("error[{}]", self.code)), escaped(&self.message));
            eprintln!("  help: {}", escaped(&self.advice));
        }
        ExitCode::from(ERROR)
    }
}

/// All that is said of an error, without saying the same twice.
fn causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        below = cause.source();
    }
    said
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(&status),
            error => {
                let advice =
                    "check --context and --kubeconfig; `kubectl cluster-info` asks the same cluster";
                Self::new("cluster_unreachable", causes(&error), advice)
            }
        }
    }
}

impl Failure {
    /// What the apiserver answered.
    pub fn from_status(status: &kube::core::Status) -> Self {
        let is_named = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
        match status.code {
            401 | 403 => {
                let advice = "use another --context, or ask for the right; docs/reference/kubectl-docmill.md lists \
                              what each command needs";
                Self::new("forbidden", &status.message, advice)
            }
            404 if !is_named => {
                let message = "the cluster does not know IngestionPipelines of docmill.dev/v1alpha1";
                Self::new("no_crd", message, "install docmill: docs/kubernetes.md")
            }
            404 => Self::new("refused", &status.message, "something went meanwhile; run it again"),
            _ => Self::new("refused", &status.message, "correct what the message names, and run it again"),
        }
    }
}

impl From<kube::runtime::watcher::Error> for Failure {
    fn from(error: kube::runtime::watcher::Error) -> Self {
        use kube::runtime::watcher::Error;
        match error {
            Error::InitialListFailed(error)
            | Error::WatchStartFailed(error)
            | Error::WatchFailed(error) => error.into(),
            Error::WatchError(status) => Self::from_status(&status),
            error @ Error::NoResourceVersion => {
                Self::new("refused", error.to_string(), "run it again without --watch")
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new("io", error.to_string(), "check the output and the free space")
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn codes_are_sorted_and_distinct() {
        assert!(CODES.is_sorted_by(|one, next| one.0 < next.0));
    }

    #[test]
    fn a_cluster_without_docmill_is_told_from_one_without_the_pipeline() {
        let answer = |text: &str| serde_json::from_str::<Status>(text).unwrap();
        let none = answer(r#"{"code": 404, "message": "404 page not found"}"#);
        assert_eq!(Failure::from_status(&none).code, "no_crd");
        let gone = answer(r#"{"code": 404, "message": "x not found", "details": {"name": "x"}}"#);
        assert_eq!(Failure::from_status(&gone).code, "refused");
        let forbidden = answer(r#"{"code": 403, "message": "no"}"#);
        assert_eq!(Failure::from_status(&forbidden).code, "forbidden");
    }
}

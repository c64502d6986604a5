//! Now, as Kubernetes writes it.

/// Now, in RFC 3339 and whole seconds.
pub fn now() -> String {
    // k8s-openapi's own type of time knows the form.
    let now = k8s_openapi::jiff::Timestamp::now();
    let seconds = k8s_openapi::jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
    seconds.to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_in_whole_seconds() {
        let now = super::now();
        assert!(now.ends_with('Z') && now.len() == "2026-01-01T00:00:00Z".len(), "{now}");
    }
}

//! Whether plain JSON is an answer for a client. Kubernetes' own clients ask for protobuf first and take JSON too;
//! discovery asks for JSON of another shape first, marked with parameters (`as=APIGroupDiscoveryList`), and goes on
//! with what servers of old say when that is refused.

/// Whether a client takes plain JSON, by its `Accept` headers joined with commas.
pub fn takes_json(accept: &str) -> bool {
    let mut ranges = accept.split(',').map(str::trim).filter(|range| !range.is_empty()).peekable();
    ranges.peek().is_none() || ranges.any(range_takes_json)
}

fn range_takes_json(range: &str) -> bool {
    let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
    let kind = parts.next().unwrap_or_default();
    matches!(kind.as_str(), "application/json" | "application/*" | "*/*")
        && parts.all(|part| is_plain(&part))
}

/// Whether a parameter asks for nothing but the same JSON.
fn is_plain(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    match name.trim() {
        "q" => value.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0),
        "charset" => matches!(value.trim().trim_matches('"'), "utf-8" | "utf8"),
        "" | "pretty" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_json_gets_it() {
        let cases = [
            "",
            "*/*",
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/*;q=0.5",
            "application/vnd.kubernetes.protobuf,application/json",
            "application/vnd.kubernetes.protobuf, */*",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
            "application/json;as=Table;v=v1;g=meta.k8s.io, application/json",
        ];
        for case in cases {
            assert!(takes_json(case), "{case}");
        }
    }

    #[test]
    fn who_takes_something_else_does_not() {
        let cases = [
            "application/vnd.kubernetes.protobuf",
            "application/yaml, text/html",
            "application/json;q=0",
            "application/json;stream=watch",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        ];
        for case in cases {
            assert!(!takes_json(case), "{case}");
        }
    }
}

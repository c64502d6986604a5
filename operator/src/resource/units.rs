//! Amounts and times as people write them, and what they come to.

use serde::{Deserialize, Serialize};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Longest text of an amount or a time.
const TEXT_MAX: u32 = 32;

/// An amount as Kubernetes writes it: `500m`, `2Gi`, `16`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

/// A time as Go and Kubernetes write it: `300s`, `10m`, `1h30m`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(pub String);

/// Suffixes of an amount, and what each stands for in thousandths.
const SUFFIXES: [(&str, u128); 12] = [
    ("Ki", 1_000 << 10),
    ("Mi", 1_000 << 20),
    ("Gi", 1_000 << 30),
    ("Ti", 1_000 << 40),
    ("Pi", 1_000 << 50),
    ("m", 1),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
    ("", 1_000),
];

impl Quantity {
    /// The amount in thousandths, rounded up; absent where the text is none.
    pub fn milli(&self) -> Option<u128> {
        let text = self.0.trim();
        let (number, factor) =
            SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + part.len() == 0 || !is_digits(whole) || !is_digits(part) || part.len() > 9 {
            return None;
        }
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let scale = 10_u128.pow(part.len() as u32);
        let part: u128 = if part.is_empty() { 0 } else { part.parse().ok()? };
        let all = whole.checked_mul(scale)?.checked_add(part)?.checked_mul(factor)?;
        Some(all.div_ceil(scale))
    }

    /// Cores in thousandths.
    pub fn cpu_milli(&self) -> Option<u64> {
        self.milli().and_then(|milli| milli.try_into().ok())
    }

    /// Memory or storage in MiB, rounded up.
    pub fn mib(&self) -> Option<u64> {
        self.milli().and_then(|milli| milli.div_ceil(1_000 << 20).try_into().ok())
    }

    /// So many MiB; in GiB where that is a whole number.
    pub fn of_mib(mib: u64) -> Self {
        match mib % 1_024 {
            0 if mib > 0 => Self(format!("{}Gi", mib / 1_024)),
            _ => Self(format!("{mib}Mi")),
        }
    }

    /// So many thousandths of a core; in cores where that is a whole number.
    pub fn of_cpu_milli(milli: u64) -> Self {
        match milli % 1_000 {
            0 => Self((milli / 1_000).to_string()),
            _ => Self(format!("{milli}m")),
        }
    }

    /// As the clients of Kubernetes have it.
    pub fn to_kube(&self) -> k8s_openapi::apimachinery::pkg::api::resource::Quantity {
        k8s_openapi::apimachinery::pkg::api::resource::Quantity(self.0.clone())
    }
}

impl Duration {
    /// The time in milliseconds; absent where the text is none.
    pub fn ms(&self) -> Option<u64> {
        let mut rest = self.0.trim();
        if rest.is_empty() {
            return None;
        }
        let mut sum: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
            let (number, after) = rest.split_at(digits);
            let (factor, unit) = match after {
                after if after.starts_with("ms") => (1, 2),
                after if after.starts_with('s') => (1_000, 1),
                after if after.starts_with('m') => (60_000, 1),
                after if after.starts_with('h') => (3_600_000, 1),
                _ => return None,
            };
            let number: u64 = number.parse().ok()?;
            sum = sum.checked_add(number.checked_mul(factor)?)?;
            rest = &after[unit..];
        }
        Some(sum)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": TEXT_MAX,
            "pattern": r"^([0-9]+(\.[0-9]{1,9})?|\.[0-9]{1,9})(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$",
        })
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": TEXT_MAX,
            "pattern": "^([0-9]{1,9}(ms|s|m|h))+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_come_to_what_kubernetes_says() {
        let cases = [
            ("16", Some(16_000)),
            ("500m", Some(500)),
            ("1.5", Some(1_500)),
            (".5", Some(500)),
            ("2Gi", Some(2_u128 << 30).map(|bytes| bytes * 1_000)),
            ("2G", Some(2_000_000_000_000)),
            ("0.5Mi", Some((1_u128 << 19) * 1_000)),
            ("", None),
            ("Gi", None),
            ("-1", None),
            ("1e3", None),
            ("1.2.3", None),
        ];
        for (text, milli) in cases {
            assert_eq!(Quantity(text.into()).milli(), milli, "{text}");
        }
        assert_eq!(Quantity("1G".into()).mib(), Some(954), "rounded up");
        assert_eq!(Quantity::of_mib(2_048).0, "2Gi");
        assert_eq!(Quantity::of_mib(1_500).0, "1500Mi");
        assert_eq!(Quantity::of_cpu_milli(1_333).0, "1333m");
        assert_eq!(Quantity::of_cpu_milli(2_000).0, "2");
    }

    #[test]
    fn times_come_to_milliseconds() {
        let cases = [
            ("300s", Some(300_000)),
            ("10m", Some(600_000)),
            ("1h30m", Some(5_400_000)),
            ("250ms", Some(250)),
            ("0s", Some(0)),
            ("", None),
            ("10", None),
            ("m", None),
            ("5d", None),
            ("99999999999999999999s", None),
        ];
        for (text, ms) in cases {
            assert_eq!(Duration(text.into()).ms(), ms, "{text}");
        }
    }
}

//! The catalogue of instance types: what each has, as data. It knows nothing of what runs on them.
//!
//! vCPU and memory are Amazon's published ones. Prices stand only where requirements §1 states them (eu-west-1, on
//! demand); nothing here guesses one.

use serde::Serialize;

/// An instance type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Its name: family, dot, size.
    pub name: &'static str,
    /// Virtual CPUs.
    pub vcpu: u32,
    /// Memory in GiB.
    pub memory_gib: u32,
    /// Price of an hour in thousandths of a dollar; absent where it is not stated.
    pub price_milli_usd_per_hour: Option<u32>,
}

impl Instance {
    /// Its family: instances of one differ only in size.
    pub fn family(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }
}

const fn instance(name: &'static str, vcpu: u32, memory_gib: u32) -> Instance {
    Instance { name, vcpu, memory_gib, price_milli_usd_per_hour: None }
}

const fn priced(name: &'static str, vcpu: u32, memory_gib: u32, price_milli_usd_per_hour: u32) -> Instance {
    Instance { name, vcpu, memory_gib, price_milli_usd_per_hour: Some(price_milli_usd_per_hour) }
}

/// All instance types, by family and then by size.
pub const CATALOGUE: &[Instance] = &[
    instance("t3.large", 2, 8),
    instance("t3.xlarge", 4, 16),
    priced("t3.2xlarge", 8, 32, 330),
    instance("c5.large", 2, 4),
    priced("c5.xlarge", 4, 8, 192),
    instance("c5.2xlarge", 8, 16),
    priced("c5.4xlarge", 16, 32, 680),
    priced("c5.9xlarge", 36, 72, 1_530),
    priced("c5.12xlarge", 48, 96, 2_040),
    instance("c5.18xlarge", 72, 144),
    instance("c5.24xlarge", 96, 192),
    instance("m5.large", 2, 8),
    instance("m5.xlarge", 4, 16),
    instance("m5.2xlarge", 8, 32),
    instance("m5.4xlarge", 16, 64),
    instance("m5.8xlarge", 32, 128),
    instance("m5.12xlarge", 48, 192),
    instance("m5.16xlarge", 64, 256),
    instance("m5.24xlarge", 96, 384),
    instance("r5.large", 2, 16),
    instance("r5.xlarge", 4, 32),
    instance("r5.2xlarge", 8, 64),
    instance("r5.4xlarge", 16, 128),
    instance("r5.8xlarge", 32, 256),
    instance("r5.12xlarge", 48, 384),
    instance("r5.16xlarge", 64, 512),
    instance("r5.24xlarge", 96, 768),
    instance("c6i.large", 2, 4),
    instance("c6i.xlarge", 4, 8),
    instance("c6i.2xlarge", 8, 16),
    instance("c6i.4xlarge", 16, 32),
    instance("c6i.8xlarge", 32, 64),
    instance("c6i.12xlarge", 48, 96),
    instance("c6i.16xlarge", 64, 128),
    instance("c6i.24xlarge", 96, 192),
    instance("c6i.32xlarge", 128, 256),
    instance("c7i.large", 2, 4),
    instance("c7i.xlarge", 4, 8),
    instance("c7i.2xlarge", 8, 16),
    instance("c7i.4xlarge", 16, 32),
    instance("c7i.8xlarge", 32, 64),
    instance("c7i.12xlarge", 48, 96),
    instance("c7i.16xlarge", 64, 128),
    instance("c7i.24xlarge", 96, 192),
    instance("c7i.48xlarge", 192, 384),
    instance("m7i.large", 2, 8),
    instance("m7i.xlarge", 4, 16),
    instance("m7i.2xlarge", 8, 32),
    instance("m7i.4xlarge", 16, 64),
    instance("m7i.8xlarge", 32, 128),
    instance("m7i.12xlarge", 48, 192),
    instance("m7i.16xlarge", 64, 256),
    instance("m7i.24xlarge", 96, 384),
    instance("m7i.48xlarge", 192, 768),
    instance("r7i.large", 2, 16),
    instance("r7i.xlarge", 4, 32),
    instance("r7i.2xlarge", 8, 64),
    instance("r7i.4xlarge", 16, 128),
    instance("r7i.8xlarge", 32, 256),
    instance("r7i.12xlarge", 48, 384),
    instance("r7i.16xlarge", 64, 512),
    instance("r7i.24xlarge", 96, 768),
    instance("r7i.48xlarge", 192, 1_536),
    instance("c7g.medium", 1, 2),
    instance("c7g.large", 2, 4),
    instance("c7g.xlarge", 4, 8),
    instance("c7g.2xlarge", 8, 16),
    instance("c7g.4xlarge", 16, 32),
    instance("c7g.8xlarge", 32, 64),
    instance("c7g.12xlarge", 48, 96),
    instance("c7g.16xlarge", 64, 128),
];

/// Most names that are offered for one that is not known.
const NEAR_MAX: usize = 5;

/// An instance type that the catalogue does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the instance type {name} is not known; near it are {}; of any other, give cpu and memory", near.join(", "))]
pub struct UnknownInstance {
    /// What was asked for.
    pub name: String,
    /// Known names that are spelt most like it, the nearest first.
    pub near: Vec<&'static str>,
}

/// The instance type of this name, as written by Amazon.
pub fn find(name: &str) -> Result<&'static Instance, UnknownInstance> {
    CATALOGUE
        .iter()
        .find(|instance| instance.name == name)
        .ok_or_else(|| UnknownInstance { name: name.to_owned(), near: near(name) })
}

fn near(name: &str) -> Vec<&'static str> {
    let wanted = name.trim().to_ascii_lowercase();
    let family = wanted.split('.').next().unwrap_or_default();
    let mut all: Vec<&Instance> = CATALOGUE.iter().collect();
    // Of equals, the same family comes first: who mistook the size gets sizes. The sort keeps the catalogue's order.
    all.sort_by_key(|known| (edits(&wanted, known.name), known.family() != family));
    all.into_iter().take(NEAR_MAX).map(|known| known.name).collect()
}

/// Characters to put in, take out or replace to make one of the other.
fn edits(one: &str, other: &str) -> usize {
    // Names are short; what is not is cut, so that nobody makes us work on a novel.
    let one: Vec<char> = one.chars().take(32).collect();
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (at, there) in other.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, here) in one.iter().enumerate() {
            let replaced = diagonal + usize::from(*here != there);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[one.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_prices_that_are_stated_and_no_others() {
        let priced: Vec<_> = CATALOGUE
            .iter()
            .filter_map(|known| known.price_milli_usd_per_hour.map(|price| (known.name, price)))
            .collect();
        let stated = [
            ("t3.2xlarge", 330),
            ("c5.xlarge", 192),
            ("c5.4xlarge", 680),
            ("c5.9xlarge", 1_530),
            ("c5.12xlarge", 2_040),
        ];
        assert_eq!(priced, stated);
    }

    #[test]
    fn all_that_requirements_name_are_there() {
        let named = [
            ("t3.xlarge", 4, 16),
            ("t3.2xlarge", 8, 32),
            ("c5.xlarge", 4, 8),
            ("c5.2xlarge", 8, 16),
            ("c5.4xlarge", 16, 32),
            ("c5.9xlarge", 36, 72),
            ("c5.12xlarge", 48, 96),
            ("m5.2xlarge", 8, 32),
            ("c6i.4xlarge", 16, 32),
            ("c6i.8xlarge", 32, 64),
            ("r5.large", 2, 16),
            ("r5.2xlarge", 8, 64),
        ];
        for (name, vcpu, memory_gib) in named {
            let known = find(name).unwrap();
            assert_eq!((known.vcpu, known.memory_gib), (vcpu, memory_gib), "{name}");
        }
    }

    #[test]
    fn names_are_unique_and_families_grow() {
        let names: BTreeSet<_> = CATALOGUE.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        for pair in CATALOGUE.windows(2).filter(|pair| pair[0].family() == pair[1].family()) {
            assert!(pair[0].vcpu < pair[1].vcpu && pair[0].memory_gib < pair[1].memory_gib, "{pair:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_near_ones() {
        let near = |name| find(name).unwrap_err().near;
        assert_eq!(near("c5.3xlarge")[..2], ["c5.xlarge", "c5.2xlarge"]);
        assert_eq!(near("C5.4XLARGE")[0], "c5.4xlarge");
        assert_eq!(near("m5.2xlrge")[0], "m5.2xlarge");
        assert_eq!(near("c8i.8xlarge")[..2], ["c6i.8xlarge", "c7i.8xlarge"]);
        assert_eq!(near("").len(), NEAR_MAX);
        assert_eq!(near(&"é".repeat(10_000)).len(), NEAR_MAX);
        let message = find("m5.2xlrge").unwrap_err().to_string();
        assert!(message.starts_with("the instance type m5.2xlrge is not known; near it are m5.2xlarge, "));
        assert!(message.ends_with("of any other, give cpu and memory"));
    }

    #[test]
    fn edits_are_counted() {
        for (one, other, expected) in
            [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3)]
        {
            assert_eq!(edits(one, other), expected, "{one} {other}");
        }
    }
}

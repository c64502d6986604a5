//! Secrets of a run: drawn anew each time, so that a text which is found is ours and of this run.

use rand::Rng;
use rand::rngs::StdRng;

/// Characters of a secret that make it unlike any other.
const HEX_DIGITS: usize = 24;

/// The secrets that nothing may repeat.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// The queue's password.
    pub redis: String,
    /// The cache's.
    pub cache: String,
    /// The ledger's.
    pub postgres: String,
    /// The graph's.
    pub neo4j: String,
    /// The secret of the key of the object store.
    pub s3: String,
    /// What the operator shows.
    pub operator: String,
    /// What stands in URIs that are handed in, where no secret belongs.
    pub in_uri: String,
    /// What stands in configurations, where no secret belongs.
    pub in_config: String,
    /// What is sent as a key and is none.
    pub no_key: String,
}

impl Secrets {
    /// New ones.
    pub fn draw(random: &mut StdRng) -> Self {
        let mut draw = |kind: &str| {
            let digits = (0..HEX_DIGITS).map(|_| char::from_digit(random.random_range(0..16), 16));
            let digits: String = digits.map(|digit| digit.expect("a digit of sixteen")).collect();
            format!("canary-{kind}-{digits}")
        };
        Self {
            redis: draw("redis"),
            cache: draw("cache"),
            postgres: draw("postgres"),
            neo4j: draw("neo4j"),
            s3: draw("s3"),
            operator: draw("operator"),
            in_uri: draw("uri"),
            in_config: draw("config"),
            no_key: draw("nokey"),
        }
    }

    /// Each with its name.
    pub fn named(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("redis password", &self.redis),
            ("cache password", &self.cache),
            ("postgres password", &self.postgres),
            ("neo4j password", &self.neo4j),
            ("s3 secret", &self.s3),
            ("operator token", &self.operator),
            ("secret in a uri", &self.in_uri),
            ("secret in a configuration", &self.in_config),
            ("wrong key", &self.no_key),
        ]
    }
}

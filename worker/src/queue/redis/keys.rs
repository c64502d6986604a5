//! Names of keys, and messages as Redis keeps them. Pure.

use docmill_core::id::{DocumentId, Generation};
use docmill_core::lane::Lane;

use super::options::KeyPrefix;
use crate::queue::Message;

/// The keys of a pipeline's queue. The prefix is their hash tag: a cluster keeps them in one slot, so
/// that a script may use them all.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: KeyPrefix,
    scripts: [String; 7],
}

impl Keys {
    /// The keys under a prefix.
    pub fn new(prefix: &KeyPrefix) -> Self {
        let key = |name: &str| format!("{{{}}}:{name}", prefix.as_str());
        let scripts = [
            key("queued"),
            key("small"),
            key("large"),
            key("small:delayed"),
            key("large:delayed"),
            key("small:again"),
            key("large:again"),
        ];
        Self { prefix: prefix.clone(), scripts }
    }

    /// What every script is given, in the order in which `common.lua` names them.
    pub fn of_scripts(&self) -> &[String] {
        &self.scripts
    }

    /// The stream of a lane, for entries that nobody received yet.
    pub fn stream(&self, lane: Lane) -> &str {
        match lane {
            Lane::Small => &self.scripts[1],
            Lane::Large => &self.scripts[2],
        }
    }

    /// A key that the start-up check may write and remove.
    pub fn probe(&self) -> String {
        format!("{{{}}}:probe", self.prefix.as_str())
    }

    /// The pattern of a user's rights that covers every key.
    pub fn pattern(&self) -> String {
        format!("{{{}}}:*", self.prefix.as_str())
    }
}

/// The message as text: the field of the hash, the member of a delayed set, the body of an entry.
pub fn encode(message: &Message) -> String {
    format!("{}:{}", message.document, message.generation.0)
}

/// Reads what [`encode`] wrote; none where it did not.
pub fn decode(text: &str, lane: &str) -> Option<Message> {
    let lane = Lane::ALL.into_iter().find(|known| known.as_str() == lane)?;
    let (document, generation) = text.split_once(':')?;
    let generation = Generation(generation.parse().ok()?);
    Some(Message { document: DocumentId::parse(document)?, generation, lane })
}

#[cfg(test)]
mod tests {
    use docmill_core::id::TenantId;

    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let document = DocumentId::born(&TenantId::default(), "a", 0);
        for lane in Lane::ALL {
            let message = Message { document, generation: Generation(u64::MAX), lane };
            assert_eq!(decode(&encode(&message), lane.as_str()), Some(message));
        }
        for bad in ["", ":", "x:1", &format!("{document}"), &format!("{document}:-1")] {
            assert_eq!(decode(bad, "small"), None, "{bad}");
        }
    }

    #[test]
    fn every_key_has_the_same_tag() {
        let keys = Keys::new(&KeyPrefix::new("docmill:a").unwrap());
        let tag = |key: &str| key[key.find('{').unwrap()..=key.find('}').unwrap()].to_owned();
        assert!(keys.of_scripts().iter().all(|key| tag(key) == "{docmill:a}"));
        assert_eq!(tag(&keys.probe()), "{docmill:a}");
        assert_eq!(keys.stream(Lane::Small), "{docmill:a}:small");
        assert_eq!(keys.stream(Lane::Large), "{docmill:a}:large");
    }
}

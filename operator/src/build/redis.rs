//! The managed queue: Redis that loses nothing it acknowledged and drops nothing when it is full
//! (`docs/many-machines.md`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;
use sha2::{Digest, Sha256};

use super::pods::{self, Every};
use super::stores::{self, CONFIG, DATA, Pod, SECRET};
use super::{Input, access};
use crate::child::Child;
use crate::names::Part;
use crate::plan::ManagedStore;

/// Port.
pub(super) const PORT: i32 = 6_379;
/// Name of the port.
const PORT_NAME: &str = "redis";
/// The user of workers and API.
pub(super) const USER: &str = "docmill";
/// User and group of the image.
const UID: i64 = 999;
const FILE: &str = "redis.conf";
const FOLDER: &str = "/etc/docmill/redis";
/// Rights of the user, and no others.
const RIGHTS: &str = "-@all +xadd +xack +xdel +xlen +xrange +xclaim +xpending +xreadgroup +xgroup|create \
    +xgroup|delconsumer +xinfo|consumers +xinfo|groups +zadd +zrem +zcard +zcount +zscore +zrange \
    +zrangebyscore +hset +hdel +hget +time +script|load +evalsha +ping +info +command +cluster|slots";
/// The user whom clients are unless they say otherwise. It cannot log in and keeps its rights: what is
/// replayed at a start runs as it, and without rights MULTI blocks would be dropped, the groups' pending
/// entries among them.
const DEFAULT_USER: &str = "default off resetpass ~* &* +@all";

/// Service, ConfigMap and, where its Secret has a name, the StatefulSet.
pub(super) fn children(input: &Input<'_>, store: &ManagedStore) -> Vec<Child> {
    let part = Part::Redis;
    let config = BTreeMap::from([(FILE.to_owned(), conf(store))]);
    let mut all =
        vec![stores::service(input, part, PORT_NAME, PORT), stores::config_map(input, part, &config)];
    all.extend(input.store_secret(part).map(|secret| {
        let container = Container {
            args: Some(pods::words(&["redis-server", &format!("{FOLDER}/{FILE}")])),
            ports: Some(vec![pods::port(PORT_NAME, PORT)]),
            readiness_probe: Some(pods::exec(&["sh", "-c", &ping()], Every(5, 3))),
            volume_mounts: Some(vec![
                pods::mount(DATA, "/data"),
                pods::mount_read_only(CONFIG, FOLDER),
                stores::secret_mount(part),
                pods::mount("tmp", "/tmp"),
            ]),
            ..pods::container(input, part.as_str(), &input.images.redis, &store.bounds)
        };
        let volumes = vec![pods::secret_volume(SECRET, &secret), pods::empty_dir("tmp", 16)];
        stores::stateful_set(input, Pod { part, user: UID, container, init: Vec::new(), volumes, config })
    }));
    all
}

/// Half the memory is for data: while the log is written anew, every page may be there twice.
fn conf(store: &ManagedStore) -> String {
    let maxmemory_mib = (store.bounds.limits.memory_mib.max(store.bounds.requests.memory_mib) / 2).max(1);
    let users = access::path(Part::Redis, super::secrets::USERS_ACL);
    format!(
        "bind * -::*\n\
         port {PORT}\n\
         # Who may do what is said by the users: nobody gets in without a password.\n\
         protected-mode no\n\
         aclfile {users}\n\
         dir /data\n\
         appendonly yes\n\
         appendfsync always\n\
         save \"\"\n\
         maxmemory {maxmemory_mib}mb\n\
         maxmemory-policy noeviction\n"
    )
}

/// Asks as the user that workers are: one that has no name gets no answer, and while the log is read none is
/// PONG.
fn ping() -> String {
    let password = access::path(Part::Redis, access::PASSWORD_FILE);
    format!(
        "REDISCLI_AUTH=\"$(cat {password})\" redis-cli --no-auth-warning --user {USER} -p {PORT} ping \
         | grep -q PONG"
    )
}

/// Redis' users, the password as its hash.
pub(super) fn users_acl(pipeline: &str, password: &str) -> String {
    let hash: String =
        Sha256::digest(password.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("user {DEFAULT_USER}\nuser {USER} on #{hash} {}\n", rules(pipeline))
}

fn rules(pipeline: &str) -> String {
    format!("~{{docmill:{pipeline}}}:* {RIGHTS}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::fixture;

    /// A test runs all of that page against a real server.
    const PAGE: &str = include_str!("../../../docs/many-machines.md");

    #[test]
    fn rights_and_settings_are_those_of_the_page() {
        assert!(PAGE.contains(&format!("ACL SETUSER {DEFAULT_USER}\n")));
        assert!(PAGE.contains(&format!("ACL SETUSER docmill on >change-me {}\n", rules("letters"))));
        let conf = conf(fixture::managed().plan.queue.managed().unwrap());
        for line in ["appendonly yes\n", "appendfsync always\n", "maxmemory-policy noeviction\n"] {
            assert!(PAGE.contains(line) && conf.contains(line), "{line}");
        }
        assert!(conf.contains("maxmemory 512mb\n"), "{conf}");
        assert!(conf.contains("/run/secrets/docmill/redis/users.acl\n"), "{conf}");
    }

    #[test]
    fn users_hold_no_password() {
        let users = users_acl("knowbase", "hunter2");
        let hash = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
        assert!(users.contains(&format!("\nuser docmill on #{hash} ~{{docmill:knowbase}}:* -@all +xadd ")));
        assert!(!users.contains("hunter2") && users.lines().count() == 2, "{users}");
    }

    #[test]
    fn other_settings_roll_the_pod() {
        let mut world = fixture::managed();
        let hash = |world: &fixture::World| {
            let all = children(&world.input(), world.plan.queue.managed().unwrap());
            let set = all.iter().find(|child| child.key().kind == "StatefulSet").unwrap();
            set.object["spec"]["template"]["metadata"]["annotations"]["docmill.dev/config-hash"].clone()
        };
        let before = hash(&world);
        assert!(before.is_string());
        if let crate::plan::Store::Managed(store) = &mut world.plan.queue {
            store.bounds.limits.memory_mib *= 2;
        }
        assert_ne!(before, hash(&world));
    }
}

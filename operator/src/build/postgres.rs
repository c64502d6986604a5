//! The managed ledger: PostgreSQL with pgvector.
//!
//! The image makes a cluster on an empty volume and then runs what is in `/docker-entrypoint-initdb.d`; cut
//! off in the middle, it would take the half for the whole at the next start. So a mark stands beside the
//! cluster until all is made, and what still bears it at a start is thrown away: no client was ever let in.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;

use super::pods::{self, Every};
use super::secrets::SUPERUSER_PASSWORD;
use super::stores::{self, CONFIG, DATA, Pod, SECRET};
use super::{Input, access};
use crate::child::Child;
use crate::names::Part;
use crate::plan::ManagedStore;

/// Port.
pub(super) const PORT: i32 = 5_432;
/// Name of the port.
const PORT_NAME: &str = "postgres";
/// The role of workers and API.
pub(super) const ROLE: &str = "docmill";
/// The database, which is the role's.
pub(super) const DATABASE: &str = "docmill";
/// Most connections of a worker or an API pod.
pub(super) const POOL: u32 = 8;
/// Connections of people, tools and the server itself.
const CONNECTIONS_BESIDE: u32 = 20;
/// Bounds of the number of connections. It grows by doubling, as each change is a restart.
const CONNECTIONS: (u32, u32) = (128, 2_048);
/// User and group of the image.
const UID: i64 = 999;
const FILE: &str = "10-docmill.sql";
const VOLUME: &str = "/var/lib/postgresql/data";
const PGDATA: &str = "/var/lib/postgresql/data/pgdata";
const MARK: &str = "/var/lib/postgresql/data/initializing";

/// What runs in place of the image's entry point, and then runs that.
const START: &str = r#"set -eu
mark=/var/lib/postgresql/data/initializing
if [ -e "$mark" ]; then rm -rf "$PGDATA"; fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then : > "$mark"; sync -f "$mark"; fi
exec docker-entrypoint.sh postgres "$@"
"#;

/// Service, ConfigMap and, where its Secret has a name, the StatefulSet.
pub(super) fn children(input: &Input<'_>, store: &ManagedStore) -> Vec<Child> {
    let part = Part::Postgres;
    let config = BTreeMap::from([(FILE.to_owned(), first_statements())]);
    let mut all =
        vec![stores::service(input, part, PORT_NAME, PORT), stores::config_map(input, part, &config)];
    let memory_mib = store.bounds.limits.memory_mib.max(store.bounds.requests.memory_mib);
    all.extend(input.store_secret(part).map(|secret| {
        let container = Container {
            command: Some(pods::words(&["sh", "-c", START, "postgres"])),
            args: Some(settings(input, memory_mib)),
            env: Some(vec![
                pods::env("POSTGRES_USER", "postgres"),
                pods::env("POSTGRES_PASSWORD_FILE", &access::path(part, SUPERUSER_PASSWORD)),
                pods::env("POSTGRES_INITDB_ARGS", "--data-checksums"),
                pods::env("PGDATA", PGDATA),
            ]),
            ports: Some(vec![pods::port(PORT_NAME, PORT)]),
            // Over TCP: while the first statements run, there is only the socket.
            readiness_probe: Some(pods::exec(
                &[
                    "pg_isready",
                    "-q",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    &PORT.to_string(),
                    "-U",
                    ROLE,
                    "-d",
                    DATABASE,
                ],
                Every(5, 3),
            )),
            volume_mounts: Some(vec![
                pods::mount(DATA, VOLUME),
                pods::mount_read_only(CONFIG, "/docker-entrypoint-initdb.d"),
                stores::secret_mount(part),
                pods::mount("run", "/var/run/postgresql"),
                pods::mount("tmp", "/tmp"),
                pods::mount("shm", "/dev/shm"),
            ]),
            ..pods::container(input, part.as_str(), &input.images.postgres, &store.bounds)
        };
        let volumes = vec![
            pods::secret_volume(SECRET, &secret),
            pods::empty_dir("run", 16),
            pods::empty_dir("tmp", 64),
            // What processes of a query share; the runtime's own is 64 MiB, too little for an index over
            // vectors.
            pods::memory_dir("shm", (memory_mib / 4).max(64)),
        ];
        stores::stateful_set(input, Pod { part, user: UID, container, init: Vec::new(), volumes, config })
    }));
    all
}

/// What the superuser says once: the role, its database, vectors. Any failure ends it, and the next start
/// begins anew.
fn first_statements() -> String {
    let password = access::path(Part::Postgres, access::PASSWORD_FILE);
    format!(
        "\\set ON_ERROR_STOP on\n\
         \\set password `cat {password}`\n\
         CREATE ROLE {ROLE} LOGIN PASSWORD :'password';\n\
         CREATE DATABASE {DATABASE} OWNER {ROLE};\n\
         \\connect {DATABASE}\n\
         CREATE EXTENSION IF NOT EXISTS vector;\n\
         -- All is made: the mark goes, for good, or nothing of this counts.\n\
         \\set gone `rm {MARK} && sync -f {VOLUME} && echo yes`\n\
         SELECT 1 / (:'gone' = 'yes')::int;\n"
    )
}

/// Settings by memory and by the number of those who may connect.
fn settings(input: &Input<'_>, memory_mib: u64) -> Vec<String> {
    let eighth = (memory_mib / 8).max(16);
    let settings = [
        "listen_addresses=*".to_owned(),
        format!("max_connections={}", connections(input)),
        // An eighth, not the usual quarter: the processes of many connections need room as well.
        format!("shared_buffers={eighth}MB"),
        format!("effective_cache_size={}MB", (memory_mib / 2).max(64)),
        format!("maintenance_work_mem={eighth}MB"),
    ];
    settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// As many as all pods may have, those that replace others meanwhile included. What was declared counts, not
/// what a pause makes of it.
fn connections(input: &Input<'_>) -> u32 {
    let workers = input.pipeline.spec.workers.replicas.max;
    let pods = workers.saturating_add(workers.div_ceil(4)).saturating_add(input.plan.api_replicas + 1);
    let wanted = pods.saturating_mul(POOL).saturating_add(CONNECTIONS_BESIDE);
    // What is more than the most would not double, but overflow.
    wanted.min(CONNECTIONS.1).next_power_of_two().max(CONNECTIONS.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::fixture;

    #[test]
    fn all_pods_may_connect() {
        let mut world = fixture::managed();
        let of = |workers| {
            world.pipeline.spec.workers.replicas.max = workers;
            connections(&world.input())
        };
        let found = [1, 4, 50, 60, 10_000, u32::MAX].map(of);
        assert_eq!(found, [128, 128, 1_024, 1_024, 2_048, 2_048]);
    }

    #[test]
    fn a_pause_does_not_restart_it() {
        let mut world = fixture::managed();
        let of = |world: &fixture::World| children(&world.input(), world.plan.ledger.managed().unwrap());
        let before = of(&world);
        world.plan.policy.max = 0;
        world.pipeline.spec.paused = true;
        assert_eq!(before, of(&world));
    }

    #[test]
    fn the_password_is_read_where_it_is_mounted() {
        let statements = first_statements();
        assert!(statements.contains("`cat /run/secrets/docmill/postgres/password`"), "{statements}");
        let (created, marked) = (statements.find("CREATE EXTENSION"), statements.find("rm /var/lib"));
        assert!(created.is_some() && created < marked, "the mark goes last");
        assert!(START.contains(MARK) && PGDATA.starts_with(VOLUME) && MARK.starts_with(VOLUME));
    }

    #[test]
    fn settings_follow_memory() {
        let found = settings(&fixture::managed().input(), 1_024);
        assert!(found.contains(&"shared_buffers=128MB".to_owned()), "{found:?}");
        assert_eq!(found.iter().filter(|word| *word == "-c").count() * 2, found.len());
    }
}

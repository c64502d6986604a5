//! The servers of a run, each killed and started again on its own files.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::uploads::Uploads;
use crate::services::api::ApiServer;
use crate::services::neo4j::Neo4jServer;
use crate::services::postgres::Server;
use crate::services::redis::{RedisServer, Setup};
use crate::services::worker::WorkerSetup;

/// A server that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// The queue.
    Redis,
    /// Ledger, texts, vectors.
    Postgres,
    /// The graph.
    Neo4j,
    /// What takes uploads.
    Api,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Redis, Self::Postgres, Self::Neo4j, Self::Api];

    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Neo4j => "neo4j",
            Self::Api => "api",
        }
    }
}

/// See the module.
pub struct Servers {
    /// Append-only file always on disk.
    pub redis: RedisServer,
    /// With fsync.
    pub postgres: Server,
    /// Community.
    pub neo4j: Neo4jServer,
    /// Once the others are there.
    api: OnceLock<(ApiServer, Arc<Uploads>)>,
}

impl Servers {
    /// Starts all that the API needs.
    ///
    /// # Errors
    /// PostgreSQL does not start.
    pub fn start() -> Result<Self> {
        let redis = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
        let (postgres, neo4j) = (Server::start()?, Neo4jServer::start(false));
        Ok(Self { redis, postgres, neo4j, api: OnceLock::new() })
    }

    /// Starts the API, with its files in `home`; gives what uploads to it.
    pub fn start_api(&self, setup: WorkerSetup, home: &Path) -> Arc<Uploads> {
        let (_, uploads) = self.api.get_or_init(|| {
            let api = ApiServer::new(setup, home);
            let key = api.key_with("default", "read,write,admin");
            api.start();
            let uploads = Uploads::new(api.client(Some(key)));
            (api, Arc::new(uploads))
        });
        uploads.clone()
    }

    /// kill -9.
    ///
    /// # Errors
    /// It could not be killed.
    pub fn kill(&self, service: Service) -> Result<()> {
        match service {
            Service::Redis => self.redis.kill(),
            Service::Postgres => self.postgres.kill()?,
            Service::Neo4j => self.neo4j.kill(),
            Service::Api => {
                let (api, uploads) = self.api.get().context("the API was started")?;
                uploads.wait_in_flight();
                api.kill();
            }
        }
        Ok(())
    }

    /// Starts a killed one, waits until it answers, and says how long that took.
    ///
    /// # Errors
    /// It does not come back.
    pub fn start_again(&self, service: Service) -> Result<Duration> {
        let began = Instant::now();
        match service {
            Service::Redis => self.redis.start_again(),
            Service::Postgres => self.postgres.restart()?,
            Service::Neo4j => self.neo4j.start_again(),
            Service::Api => self.api.get().context("the API was started")?.0.start(),
        }
        Ok(began.elapsed())
    }
}

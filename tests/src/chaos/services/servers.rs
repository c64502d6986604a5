//! The servers of a run, each killed and started again on its own files.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::services::neo4j::Neo4jServer;
use crate::services::postgres::Server;
use crate::services::redis::{RedisServer, Setup};

/// A server that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// The queue.
    Redis,
    /// Ledger, texts, vectors.
    Postgres,
    /// The graph.
    Neo4j,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Redis, Self::Postgres, Self::Neo4j];

    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Neo4j => "neo4j",
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
}

impl Servers {
    /// Starts all three.
    ///
    /// # Errors
    /// PostgreSQL does not start.
    pub fn start() -> Result<Self> {
        let redis = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
        Ok(Self { redis, postgres: Server::start()?, neo4j: Neo4jServer::start(false) })
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
        }
        Ok(began.elapsed())
    }
}

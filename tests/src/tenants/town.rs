//! Everything that runs: servers with secrets of this run, an issuer of tokens, an API, two workers, and the
//! documents of two tenants.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use docmill_core::id::TenantId;
use docmill_worker::embed::Mock;
use docmill_worker::ledger::Ledger;
use docmill_worker::neo4j;
use docmill_worker::neo4j::bolt::map;
use docmill_worker::objects::{Objects, ObjectsOptions};
use docmill_worker::postgres::{Database, Options as PostgresOptions, PostgresLedger};
use docmill_worker::secret::Secret;
use docmill_worker::stages::models::{CONCEPTS_BUILTIN, spec};
use jsonwebtoken::Algorithm;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;

use super::secrets::Secrets;
use super::side::{Marks, Side};
use crate::chaos::services::look::Look;
use crate::contract::objects::{content, key};
use crate::services::api::{ApiServer, OPERATOR_VARIABLE};
use crate::services::issuer::{Issuer, SigningKey};
use crate::services::neo4j::Neo4jServer;
use crate::services::postgres::{Server, client};
use crate::services::process::wait_until;
use crate::services::redis::{RedisServer, Setup, USER};
use crate::services::s3::{self, S3Server};
use crate::services::worker::{Worker, WorkerSetup};

/// Workers: more than one, so that each tenant's documents are in either.
const WORKERS: usize = 2;
/// What is said: everything of ours, of others what they usually say.
const LOG: &str = "info,docmill_worker=trace,docmill_core=trace,docmill=trace,h2=off,hyper=off";
/// Short: a generation that comes while the one before it is in work waits for a lease.
const LEASE_MS: u64 = 3_000;
/// Extractors of a worker.
const CONCURRENCY: usize = 1;
/// What the cache's user needs besides what the queue does.
const CACHE_RIGHTS: &str = "~extraction:* +get +set";
/// How the cache's server differs from the queue's: nothing in it is missed.
const CACHE_CONFIG: &str = "appendonly no\nmaxmemory-policy allkeys-lru\n";
/// Largest object, in bytes.
const OBJECT_BYTES_MAX: u64 = 1 << 20;

/// See the module.
pub struct Town {
    /// What runs async code of the harness.
    pub runtime: Runtime,
    /// Secrets that nothing may repeat.
    pub secrets: Secrets,
    /// The queue.
    pub redis: RedisServer,
    /// Answers of models.
    pub cache: RedisServer,
    /// The ledger, texts, vectors.
    pub postgres: Server,
    /// The graph.
    pub neo4j: Neo4jServer,
    /// Objects.
    pub s3: S3Server,
    /// Tokens.
    pub issuer: Issuer,
    /// What is asked.
    pub api: ApiServer,
    /// What works.
    pub workers: Vec<Worker>,
    /// The harness' own look at the ledger.
    pub look: Look,
    /// Where the ledger is.
    pub ledger: PostgresOptions,
    /// Where the graph is.
    pub graph: neo4j::Options,
    /// The bucket.
    pub bucket: String,
    /// Where the processes have their files.
    pub dir: tempfile::TempDir,
    signing: SigningKey,
    objects: Objects,
    setup: WorkerSetup,
}

/// The section of a cache on this port.
fn cache_section(port: u16) -> String {
    format!(
        "cache: {{redis: {{url: 'redis://127.0.0.1:{port}', username: {USER}, passwordEnv: CACHE_PASSWORD}}}}\n"
    )
}

impl Town {
    /// Starts it, and gives both tenants their documents.
    ///
    /// # Errors
    /// Something does not start.
    pub fn start(random: &mut StdRng) -> Result<(Self, [Side; 2])> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let secrets = Secrets::draw(random);
        let dir = tempfile::Builder::new().prefix("docmill-tenants-").tempdir()?;
        let redis = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
        let (rights, config) = (CACHE_RIGHTS.to_owned(), CACHE_CONFIG.to_owned());
        let cache = RedisServer::start(&Setup { tcp: true, rights, config, ..Setup::default() });
        let (postgres, graph_server) = (Server::start()?, Neo4jServer::start(false));
        let s3 = S3Server::start_with(&secrets.s3);
        let (issuer, signing) = (Issuer::start(), SigningKey::generate("town", Algorithm::ES256));
        issuer.publish(&signing);

        for (server, password) in [(&redis, &secrets.redis), (&cache, &secrets.cache)] {
            let (mut admin, password) = (server.admin(), format!(">{password}"));
            redis::cmd("ACL").arg("SETUSER").arg(USER).arg("resetpass").arg(password).exec(&mut admin)?;
        }
        let mut ledger = postgres.fresh();
        let mut graph = graph_server.options();
        runtime.block_on(async {
            let statement = format!("ALTER ROLE {} PASSWORD '{}'", ledger.user, secrets.postgres);
            client(&ledger).await?.batch_execute(&statement).await?;
            let system = neo4j::Options { database: Some("system".to_owned()), ..graph.clone() };
            let old = graph.password.as_ref().context("tests have passwords")?;
            let passwords = map([("old", old.expose().into()), ("new", secrets.neo4j.as_str().into())]);
            let system = neo4j::Database::connect(&system).await?;
            system.run("ALTER CURRENT USER SET PASSWORD FROM $old TO $new", passwords).await?;
            anyhow::Ok(())
        })?;
        ledger.password = Some(Secret::new(secrets.postgres.as_str()));
        graph.password = Some(Secret::new(secrets.neo4j.as_str()));

        let bucket = s3.fresh();
        let objects = Objects::open(&ObjectsOptions::S3(bucket.clone()))?;
        let root = dir.path().join("files");
        std::fs::create_dir(&root)?;
        let variables = [
            ("REDIS_PASSWORD", &secrets.redis),
            ("CACHE_PASSWORD", &secrets.cache),
            ("S3_SECRET", &secrets.s3),
            (OPERATOR_VARIABLE, &secrets.operator),
            ("S3_KEY_ID", &s3::KEY_ID.to_owned()),
            ("RUST_LOG", &LOG.to_owned()),
        ];
        let setup = WorkerSetup {
            neo4j: Some(graph.clone()),
            file_root: Some(root),
            objects: s3::section(&bucket, "S3_SECRET"),
            sections: cache_section(cache.port),
            api: issuer.section(),
            concurrency: CONCURRENCY,
            lease_ms: LEASE_MS,
            variables: variables.map(|(name, value)| (name.to_owned(), value.clone())).into(),
            ..WorkerSetup::new(redis.port, ledger.clone())
        };
        let api = ApiServer::new(setup.clone(), &dir.path().join("api"));
        let look = Look::new(ledger.clone());
        let mut town = Self {
            runtime,
            secrets,
            redis,
            cache,
            postgres,
            neo4j: graph_server,
            s3,
            issuer,
            api,
            workers: Vec::new(),
            look,
            ledger,
            graph,
            bucket: bucket.bucket,
            dir,
            signing,
            objects,
            setup,
        };
        let sides = town.settle_in(random)?;
        Ok((town, sides))
    }

    /// Two tenants come, and all that they have is done.
    fn settle_in(&mut self, random: &mut StdRng) -> Result<[Side; 2]> {
        let marks = [Marks::draw("zqnorth", random), Marks::draw("zqsouth", random)];
        self.runtime.block_on(async {
            let ledger = PostgresLedger::new(Database::open(&self.ledger).await?, 0);
            let index = spec(Mock::FINGERPRINT, Mock::DIMENSIONS, CONCEPTS_BUILTIN);
            for marks in &marks {
                ledger.begin_index(&TenantId::new(marks.tenant.as_str())?, &index).await?;
            }
            anyhow::Ok(())
        })?;
        self.api.start();
        for number in 0..WORKERS {
            let name = format!("worker-{number}");
            self.workers.push(self.setup.start(&self.dir.path().join(&name), &name));
        }
        self.workers.iter().for_each(Worker::wait_ready);
        let [north, south] = marks.map(|marks| Side::come(self, marks));
        let mut sides = [north?, south?];
        self.wait_settled();
        for side in &mut sides {
            side.look_around(self)?;
        }
        Ok(sides)
    }

    /// A token of this tenant.
    pub fn token(&self, tenant: &str, scope: &str) -> String {
        self.signing.sign(&self.issuer.claims(tenant, scope))
    }

    /// Puts an object into the bucket.
    ///
    /// # Errors
    /// The server does not take it.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<String> {
        let key = key(name);
        self.runtime.block_on(self.objects.put(&key, content(bytes), OBJECT_BYTES_MAX))?;
        Ok(format!("s3://{}/{name}", self.bucket))
    }

    /// Writes a file below the root of files.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, bytes: &[u8]) -> Result<String> {
        let path = self.dir.path().join("files").join(name);
        std::fs::create_dir_all(path.parent().context("it is below the root")?)?;
        std::fs::write(&path, bytes)?;
        Ok(format!("file://{}", path.display()))
    }

    /// Waits until nothing is to be done any more.
    pub fn wait_settled(&self) {
        wait_until("all documents", || {
            self.runtime.block_on(self.look.unsettled()).is_ok_and(|open| open == 0)
        });
    }

    /// What every process said.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn logs(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files: Vec<PathBuf> =
            vec![self.redis.dir_file("redis.log"), self.postgres.log(), self.neo4j.log(), self.s3.log()];
        files.push(self.cache.dir_file("redis.log"));
        files.push(self.api.log_file());
        files.extend((0..WORKERS).map(|number| self.dir.path().join(format!("worker-{number}/log"))));
        let read = |path: &PathBuf| {
            let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
            Ok((path.display().to_string(), bytes))
        };
        files.iter().map(read).collect()
    }

    /// What the program says of a configuration that holds secrets where none belong: all of it, for each way to
    /// ask.
    ///
    /// # Errors
    /// It was not refused.
    pub fn refused_configurations(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let secret = &self.secrets.in_config;
        let good = self.setup.config(1, &self.dir.path().join("scratch"));
        let bad = [
            ("password", format!("{good}password: {secret}\n")),
            ("url", good.replace("redis://127", &format!("redis://me:{secret}@127"))),
            ("issuer", format!("{good}api: {{oidc: {{issuer: 'https://me:{secret}@id', audience: d}}}}\n")),
            ("variable", good.replace("passwordEnv: PG_PASSWORD", &format!("passwordEnv: {secret}"))),
            ("file", good.replace("passwordEnv: PG_PASSWORD", &format!("passwordFile: {secret}"))),
            ("yaml", format!("{good}\u{1}: [{secret}\n")),
        ];
        let mut said = Vec::new();
        for (what, text) in bad {
            let file = self.dir.path().join(format!("refused-{what}.yaml"));
            std::fs::write(&file, text)?;
            for action in ["run", "api", "check-config"] {
                let output = self.setup.command(&[action, "--config"], "refused").arg(&file).output()?;
                ensure!(!output.status.success(), "{action} takes a configuration with a secret as {what}");
                ensure!(!output.stdout.is_empty() || !output.stderr.is_empty(), "{action} says nothing");
                said.push((format!("{action} of {what}"), [output.stdout, output.stderr].concat()));
            }
        }
        Ok(said)
    }

    /// Where a worker's log is, for what is planted there.
    pub fn worker_log(&self) -> PathBuf {
        self.dir.path().join("worker-0/log")
    }
}

//! Reads what is given as text, and notes what is none.

use docmill_core::sizing::neo4j::{self, Memory};
use docmill_core::sizing::{Given, Neo4jPlace, Resources};

use super::{AskTimes, Bounds, ManagedStore, Problem, Store, ask, has_managed_neo4j};
use crate::resource::{
    self, Duration, ExternalPostgres, ExternalRedis, ExternalS3, IngestionPipelineSpec, Managed,
    ManagedNeo4j, Quantity, ResourceAmounts,
};

/// Memory that a managed store asks for and may take, in MiB, unless it is given.
const STORE_MIB: (u64, u64) = (128, 1_024);
/// Cores that a managed store asks for and may take, in thousandths, unless they are given.
const STORE_CPU_MILLI: (u64, u64) = (50, 2_000);
/// Cores that a managed Neo4j asks for, in thousandths, unless they are given: sizing counts with them.
const NEO4J_CPU_MILLI: u64 = 500;
/// Cores that a managed Neo4j may take at least, in thousandths.
const NEO4J_CPU_LIMIT_MILLI: u64 = 4_000;
/// Size of Redis' volume, in MiB, unless it is given.
const REDIS_STORAGE_MIB: u64 = 10 * 1_024;
/// Size of PostgreSQL's volume, in MiB, unless it is given.
const POSTGRES_STORAGE_MIB: u64 = 20 * 1_024;
/// Size of Neo4j's volume, in MiB, unless it is given.
const NEO4J_STORAGE_MIB: u64 = 20 * 1_024;
/// Size of the volume of objects, in MiB, unless it is given.
const S3_STORAGE_MIB: u64 = 50 * 1_024;
/// Least size of a volume, in MiB.
const STORAGE_LEAST_MIB: u64 = 64;

/// What a pipeline gives, as numbers.
pub(super) struct Read {
    pub(super) worker: Given,
    pub(super) api: Given,
    pub(super) scratch_mib: u64,
    pub(super) queue: Store<ExternalRedis>,
    pub(super) ledger: Store<ExternalPostgres>,
    pub(super) objects: Store<ExternalS3>,
    pub(super) neo4j: Neo4jPlace,
    pub(super) page_ms: u64,
    pub(super) document_ms: u64,
    pub(super) ask: AskTimes,
}

impl Read {
    /// Reads all of it; what cannot be read is noted.
    pub(super) fn of(spec: &IngestionPipelineSpec, problems: &mut Vec<Problem>) -> Self {
        let mut reader = Reader { problems };
        Self {
            worker: reader.given("spec.workers.resources", &spec.workers.resources),
            api: reader.given("spec.api.resources", &spec.api.resources),
            scratch_mib: reader
                .mib("spec.workers.scratch.tmpfs", &spec.workers.scratch.tmpfs)
                .unwrap_or_default(),
            queue: reader.queue(&spec.queue.redis),
            ledger: reader.ledger(&spec.stores.ledger.postgres),
            objects: reader.objects(&spec.stores.objects.s3),
            neo4j: reader.neo4j_place(spec),
            page_ms: reader.ms("spec.extract.limits.pageTimeout", &spec.extract.limits.page_timeout),
            document_ms: reader
                .ms("spec.extract.limits.documentTimeout", &spec.extract.limits.document_timeout),
            ask: ask::times(&spec.ask, reader.problems),
        }
    }

    /// What the managed stores beside Neo4j ask for together.
    pub(super) fn beside(&self) -> Resources {
        [self.queue.managed(), self.ledger.managed(), self.objects.managed()]
            .into_iter()
            .flatten()
            .fold(Resources::default(), |sum, store| sum.plus(store.bounds.requests))
    }
}

/// A managed Neo4j with so much memory.
pub(super) fn neo4j_store(managed: &ManagedNeo4j, memory: Memory) -> ManagedStore {
    let cpu_milli = managed.cpu.as_ref().and_then(Quantity::cpu_milli).unwrap_or(NEO4J_CPU_MILLI);
    let memory_mib = memory.total_mib;
    ManagedStore {
        storage_mib: managed.storage.as_ref().and_then(Quantity::mib).unwrap_or(NEO4J_STORAGE_MIB),
        storage_class: managed.storage_class_name.clone(),
        bounds: Bounds {
            requests: Resources { cpu_milli, memory_mib },
            limits: Resources { cpu_milli: cpu_milli.max(NEO4J_CPU_LIMIT_MILLI), memory_mib },
        },
    }
}

/// A time in milliseconds; what is none is noted.
pub(super) fn time_ms(path: &'static str, time: &Duration, problems: &mut Vec<Problem>) -> u64 {
    time.ms().unwrap_or_else(|| {
        let message = format!("{:?} is no time; write 300s, 10m or 1h30m", time.0);
        problems.push(Problem { rule: "VP-04", path, message });
        0
    })
}

struct Reader<'a> {
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn note(&mut self, rule: &'static str, path: &'static str, message: String) {
        self.problems.push(Problem { rule, path, message });
    }

    fn not_an_amount(&mut self, path: &'static str, text: &Quantity) {
        let message =
            format!("{:?} is no amount; write 500m or 2 for cores, 512Mi or 2Gi for memory", text.0);
        self.note("VP-05", path, message);
    }

    fn mib(&mut self, path: &'static str, quantity: &Quantity) -> Option<u64> {
        let mib = quantity.mib();
        if mib.is_none() {
            self.not_an_amount(path, quantity);
        }
        mib
    }

    fn ms(&mut self, path: &'static str, time: &Duration) -> u64 {
        time_ms(path, time, self.problems)
    }

    fn cpu(&mut self, path: &'static str, quantity: &Quantity) -> Option<u64> {
        let milli = quantity.cpu_milli();
        if milli.is_none() {
            self.not_an_amount(path, quantity);
        }
        milli
    }

    fn amounts(&mut self, path: &'static str, amounts: &ResourceAmounts) -> (Option<u64>, Option<u64>) {
        let cpu = amounts.cpu.as_ref().and_then(|cpu| self.cpu(path, cpu));
        let memory = amounts.memory.as_ref().and_then(|memory| self.mib(path, memory));
        (cpu, memory)
    }

    fn given(&mut self, path: &'static str, resources: &resource::Resources) -> Given {
        let (requests_cpu_milli, requests_memory_mib) = self.amounts(path, &resources.requests);
        let (limits_cpu_milli, limits_memory_mib) = self.amounts(path, &resources.limits);
        let above = |request: Option<u64>, limit: Option<u64>| {
            request.zip(limit).is_some_and(|(request, limit)| request > limit)
        };
        if above(requests_cpu_milli, limits_cpu_milli) || above(requests_memory_mib, limits_memory_mib) {
            let message = "requests are more than limits; raise limits or lower requests".to_owned();
            self.note("VP-06", path, message);
        }
        Given { requests_cpu_milli, requests_memory_mib, limits_cpu_milli, limits_memory_mib }
    }

    fn queue(&mut self, store: &resource::QueueStore) -> Store<ExternalRedis> {
        let path = "spec.queue.redis.managed";
        match &store.external {
            Some(external) => Store::External(external.clone()),
            None => Store::Managed(self.managed(path, store.managed.as_ref(), REDIS_STORAGE_MIB)),
        }
    }

    fn ledger(&mut self, store: &resource::LedgerStore) -> Store<ExternalPostgres> {
        let path = "spec.stores.ledger.postgres.managed";
        match &store.external {
            Some(external) => Store::External(external.clone()),
            None => Store::Managed(self.managed(path, store.managed.as_ref(), POSTGRES_STORAGE_MIB)),
        }
    }

    fn objects(&mut self, store: &resource::ObjectStore) -> Store<ExternalS3> {
        let path = "spec.stores.objects.s3.managed";
        match &store.external {
            Some(external) => Store::External(external.clone()),
            None => Store::Managed(self.managed(path, store.managed.as_ref(), S3_STORAGE_MIB)),
        }
    }

    fn managed(&mut self, path: &'static str, managed: Option<&Managed>, storage_mib: u64) -> ManagedStore {
        let nothing = Managed::default();
        let managed = managed.unwrap_or(&nothing);
        let storage_mib = self.storage(path, managed.storage.as_ref(), storage_mib);
        let requests = Resources { cpu_milli: STORE_CPU_MILLI.0, memory_mib: STORE_MIB.0 };
        let limits = Resources { cpu_milli: STORE_CPU_MILLI.1, memory_mib: STORE_MIB.1 };
        let (requests, limits) = self.given(path, &managed.resources).over(requests, limits);
        ManagedStore {
            storage_mib,
            storage_class: managed.storage_class_name.clone(),
            bounds: Bounds { requests, limits },
        }
    }

    fn storage(&mut self, path: &'static str, storage: Option<&Quantity>, otherwise: u64) -> u64 {
        let Some(storage) = storage else { return otherwise };
        let mib = self.mib(path, storage).unwrap_or(otherwise);
        if mib < STORAGE_LEAST_MIB {
            let message =
                format!("a volume of {mib} MiB holds nothing; give at least {STORAGE_LEAST_MIB}Mi");
            self.note("VP-07", path, message);
        }
        mib
    }

    fn neo4j_place(&mut self, spec: &IngestionPipelineSpec) -> Neo4jPlace {
        let path = "spec.memory.neo4j";
        let memory = &spec.memory.neo4j;
        if !has_managed_neo4j(spec) {
            if memory != &resource::Neo4jMemory::default() {
                let message =
                    "the memory of a Neo4j that the operator does not run is not its to set; remove it";
                self.note("VP-08", path, message.to_owned());
            }
            return Neo4jPlace::External;
        }
        if let Some(managed) = spec.stores.graph.neo4j.as_ref().and_then(|store| store.managed.as_ref()) {
            let storage = managed.storage.as_ref();
            self.storage("spec.stores.graph.neo4j.managed.storage", storage, NEO4J_STORAGE_MIB);
            if let Some(cpu) = &managed.cpu {
                self.cpu("spec.stores.graph.neo4j.managed.cpu", cpu);
            }
        }
        let mut mib = |quantity: &Option<Quantity>| quantity.as_ref().and_then(|text| self.mib(path, text));
        let (total, initial) = (mib(&memory.total), mib(&memory.initial_heap));
        let (heap, page_cache) = (mib(&memory.heap), mib(&memory.page_cache));
        match (total, heap, page_cache) {
            (Some(total), Some(heap), Some(page_cache)) => {
                self.neo4j_exactly(Memory::given(total, initial, heap, page_cache))
            }
            (Some(total_mib), None, None) => Neo4jPlace::Given { total_mib },
            _ => Neo4jPlace::Beside,
        }
    }

    fn neo4j_exactly(&mut self, memory: Result<Memory, neo4j::Error>) -> Neo4jPlace {
        match memory {
            Ok(memory) => Neo4jPlace::Exactly(memory),
            Err(error) => {
                self.problems.push(Problem::of_neo4j(&error));
                Neo4jPlace::External
            }
        }
    }
}

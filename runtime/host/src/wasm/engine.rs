//! The engine that all agents of a host share: compilation, pooled memory, the clock that interrupts.

use super::guest::{Guest, TABLE_ELEMENTS_MAX, TABLES_MAX};
use super::{abi, module};
use crate::{HostConfig, HostError, InvalidModule, Store};
use caxton_model::ModuleDigest;
use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Mutex;
use wasmtime::{
    Cache, CacheConfig, Config, InstanceAllocationStrategy, InstancePre, Linker, PoolingAllocationConfig,
};

/// How long code runs before it lets others run: the most that an endless loop adds to the wait of another agent.
pub(super) const TICK: Duration = Duration::from_millis(2);

/// Room beside the agents' instances: for trials, and for a fresh instance made before the old one is gone.
const SPARE_INSTANCES: u32 = 64;

/// The smallest reservation for a memory; smaller ones save nothing.
const RESERVATION_BYTES_MIN: u64 = 1 << 20;

/// Compiles modules and makes instances.
pub(crate) struct Engine {
    engine: wasmtime::Engine,
    linker: Linker<Guest>,
    /// Modules that agents use right now. Locked while one is compiled, so that it is compiled once.
    prepared: Mutex<HashMap<ModuleDigest, Weak<Prepared>>>,
}

/// A compiled module, ready to be instantiated.
pub(crate) struct Prepared {
    pub(super) pre: InstancePre<Guest>,
    /// The host functions that it wants, in order.
    pub(crate) imports: Vec<String>,
    /// The memory that an instance has from the start.
    pub(crate) memory_bytes_min: u64,
}

impl Engine {
    /// Sets the engine up. It reserves address space for all agents at once; where that is refused, each instance gets its
    /// memory when it starts.
    pub(crate) fn new(config: &HostConfig) -> Result<Self, HostError> {
        let setup_error = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let cache = open_cache(&config.cache_dir)?;
        let engine = wasmtime::Engine::new(&engine_config(cache.clone(), config, true)).or_else(|error| {
            tracing::warn!(%error, "memory for agents cannot be reserved; it is allocated on demand");
            wasmtime::Engine::new(&engine_config(cache, config, false)).map_err(setup_error)
        })?;
        let linker = abi::linker(&engine).map_err(setup_error)?;
        start_clock(&engine)?;
        Ok(Self {
            engine,
            linker,
            prepared: Mutex::new(HashMap::new()),
        })
    }

    /// Compiles a module, or takes the compiled one from the cache, and checks that it can run as an agent.
    pub(crate) async fn compile(&self, bytes: Vec<u8>) -> Result<Prepared, InvalidModule> {
        let (engine, linker) = (self.engine.clone(), self.linker.clone());
        let compiling = tokio::task::spawn_blocking(move || module::prepare(&engine, &linker, &bytes));
        compiling.await.unwrap_or_else(|_| {
            Err(InvalidModule {
                problems: vec!["the compiler failed on it".to_owned()],
            })
        })
    }

    /// The module of the store, compiled.
    pub(crate) async fn prepare(
        &self,
        store: &Store,
        digest: &ModuleDigest,
    ) -> Result<Arc<Prepared>, HostError> {
        let mut prepared = self.prepared.lock().await;
        if let Some(module) = prepared.get(digest).and_then(Weak::upgrade) {
            return Ok(module);
        }
        let bytes = store.module(digest).await?;
        let bytes = bytes.ok_or_else(|| HostError::UnknownModule(digest.clone()))?;
        let module = Arc::new(self.compile(bytes).await?);
        prepared.retain(|_, module| module.strong_count() > 0);
        prepared.insert(digest.clone(), Arc::downgrade(&module));
        Ok(module)
    }
}

fn open_cache(dir: &Path) -> Result<Cache, HostError> {
    // Compiled code is executed as it is found: nobody else may write here.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .and_then(|()| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
            dir.canonicalize()
        })
        .map_err(|error| HostError::Engine(format!("the cache folder {}: {error}", dir.display())))
        .and_then(|dir| {
            let mut config = CacheConfig::new();
            config.with_directory(dir);
            Cache::new(config).map_err(|error| HostError::Engine(format!("the cache: {error:#}")))
        })
}

/// With memory reserved for all agents at once, or for each instance when it starts.
fn engine_config(cache: Cache, host: &HostConfig, pooled: bool) -> Config {
    let memory_bytes = host.limits_max.memory_bytes.max(RESERVATION_BYTES_MIN);
    let mut config = Config::new();
    config.cache(Some(cache));
    config.epoch_interruption(true);
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.memory_reservation(memory_bytes);
    if pooled {
        let instances = host.agents_max.saturating_add(SPARE_INSTANCES);
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(instances)
            .total_memories(instances)
            .total_tables(instances.saturating_mul(TABLES_MAX as u32))
            .total_stacks(instances)
            .max_tables_per_module(TABLES_MAX as u32)
            .table_elements(TABLE_ELEMENTS_MAX)
            .max_memory_size(usize::try_from(memory_bytes).unwrap_or(usize::MAX));
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// Ticks for as long as the engine lives.
fn start_clock(engine: &wasmtime::Engine) -> Result<(), HostError> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .map_err(|error| HostError::Engine(format!("the clock's thread: {error}")))?;
    Ok(())
}

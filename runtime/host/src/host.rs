//! The agents of one node.

use crate::agent::{Agent, AgentRuntimeInfo, Context, Offered};
use crate::metrics::Metrics;
use crate::wasm::{Engine, Identity, Instance, State};
use crate::{HostConfig, HostError, HostMetrics, InvalidModule, Store};
use caxton_model::api::ModuleInfo;
use caxton_model::{AgentName, AgentSpec, Envelope, Epoch, Limits, MessageOutcome, ModuleDigest};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::{Mutex, MutexGuard, mpsc};

/// How many agents can be started and stopped at the same time.
const CHANGES_MAX: usize = 64;

/// Runs agents on threads of its own, so that no agent takes time from the caller's runtime. A clone is another handle to
/// the same host; with the last one go the agents, whatever they are doing.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    config: HostConfig,
    context: Arc<Context>,
    agents: RwLock<BTreeMap<AgentName, Arc<Agent>>>,
    /// An agent is started or stopped under the lock that its name hashes to.
    changes: [Mutex<()>; CHANGES_MAX],
    workers: Workers,
}

impl Host {
    /// Makes a host without agents. At-most-once messages that agents send go to `outgoing`; when it is full, they are
    /// dropped and counted. At-least-once messages go to the store's outbox. It blocks; call it before anything depends on
    /// time.
    ///
    /// # Errors
    /// [`HostError::Engine`] if the cache folder cannot be used or threads cannot be started.
    pub fn new(
        config: HostConfig,
        store: Store,
        outgoing: mpsc::Sender<Envelope>,
    ) -> Result<Self, HostError> {
        let context = Arc::new(Context {
            node: config.node.clone(),
            store,
            engine: Engine::new(&config)?,
            metrics: Metrics::new(),
            outgoing,
            started: Instant::now(),
        });
        Ok(Self {
            shared: Arc::new(Shared {
                workers: Workers::new(config.threads)?,
                config,
                context,
                agents: RwLock::default(),
                changes: std::array::from_fn(|_| Mutex::new(())),
            }),
        })
    }

    /// Checks that a module can run as an agent: what it imports and exports, and a trial start in a sandbox. Nothing is
    /// kept but the compiled module in the cache. `nodes` of the result is empty.
    ///
    /// # Errors
    /// [`HostError::InvalidModule`] with all that is wrong.
    pub async fn validate(&self, bytes: Vec<u8>) -> Result<ModuleInfo, HostError> {
        let (digest, size) = (ModuleDigest::of(&bytes), bytes.len() as u64);
        let context = self.shared.context.clone();
        let trial_limits = Limits {
            memory_bytes: self.shared.config.limits_max.memory_bytes,
            ..Limits::default()
        };
        let trial = async move {
            let prepared = context.engine.compile(bytes).await?;
            let identity = Arc::new(Identity {
                agent: AgentName::from("trial"),
                limits: trial_limits,
            });
            let started = Instance::start(&prepared, identity, &mut State::default()).await;
            started.map_err(|failure| InvalidModule {
                problems: vec![failure.to_string()],
            })?;
            Ok::<_, HostError>(prepared.imports.clone())
        };
        let imports = self.shared.workers.run(trial).await??;
        Ok(ModuleInfo {
            digest,
            bytes: size,
            imports,
            nodes: Vec::new(),
        })
    }

    /// Starts an agent under `epoch`, with the state that the store has of it. If it runs already under this epoch with
    /// the same specification, nothing happens, unless it was given up: then it starts afresh. If it runs otherwise, it is
    /// stopped first. A suspended agent that is started is not suspended.
    ///
    /// # Errors
    /// If its limits are beyond the host's, its module is unknown or invalid, there are too many agents, the store has a
    /// newer epoch of it, or the store fails. Then it runs as before, or, if it was stopped for this, no more.
    pub async fn start_agent(&self, spec: &AgentSpec, epoch: Epoch) -> Result<(), HostError> {
        self.check_limits(spec)?;
        let _change = self.change(&spec.name).await;
        if let Some(running) = self.agent(&spec.name) {
            if running.epoch == epoch && *running.spec == *spec && running.info().reason.is_none() {
                return Ok(());
            }
            self.stop(&spec.name).await;
        }
        if self.read_agents().len() >= self.shared.config.agents_max as usize {
            return Err(HostError::TooManyAgents {
                limit: self.shared.config.agents_max,
            });
        }
        let context = self.shared.context.clone();
        let prepared = context.engine.prepare(&context.store, &spec.module).await?;
        if prepared.memory_bytes_min > spec.limits.memory_bytes {
            return Err(HostError::Limit {
                agent: spec.name.clone(),
                name: "memory that the module begins with",
                asked: prepared.memory_bytes_min,
                allowed: spec.limits.memory_bytes,
            });
        }
        let state = context.store.begin_epoch(&spec.name, epoch).await?;
        let state = State::new(state, spec.limits.state_bytes);
        let agent = self
            .shared
            .workers
            .enter(|| Agent::start(context, Arc::new(spec.clone()), epoch, prepared, state))?;
        self.shared
            .agents
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(spec.name.clone(), Arc::new(agent));
        Ok(())
    }

    /// Stops an agent: waits until the messages that it is handling are done and durable, and refuses those that wait as
    /// [`MessageOutcome::NotHere`]. Its state stays in the store. Dropping the future does not keep the agent.
    ///
    /// # Errors
    /// [`HostError::UnknownAgent`] if it does not run here.
    pub async fn stop_agent(&self, agent: &AgentName) -> Result<(), HostError> {
        let _change = self.change(agent).await;
        if self.stop(agent).await {
            Ok(())
        } else {
            Err(HostError::UnknownAgent(agent.clone()))
        }
    }

    /// Suspends an agent, or lets it go on. While it is suspended, its messages are refused as [`MessageOutcome::Full`],
    /// those in its mailbox, too; what it is handling is done.
    ///
    /// # Errors
    /// [`HostError::UnknownAgent`] if it does not run here.
    pub fn set_suspended(&self, agent: &AgentName, suspended: bool) -> Result<(), HostError> {
        let running = self
            .agent(agent)
            .ok_or_else(|| HostError::UnknownAgent(agent.clone()))?;
        running.set_suspended(suspended);
        Ok(())
    }

    /// Hands messages to their agents and waits for what becomes of each. Messages to one agent are handled in this order;
    /// when its mailbox is full, it takes none of those that follow, either. What an at-least-once message changed and sent
    /// is durable before it is reported as handled. Dropping the future does not take messages back.
    pub async fn deliver(&self, envelopes: Vec<Envelope>) -> Vec<MessageOutcome> {
        let offered = self.offer(envelopes);
        let mut outcomes = Vec::with_capacity(offered.len());
        for offer in offered {
            outcomes.push(match offer {
                Offered::Refused(outcome) => outcome,
                // The agent has stopped with the message in its mailbox.
                Offered::Waiting(answer) => answer.await.unwrap_or(MessageOutcome::NotHere),
            });
        }
        outcomes
    }

    /// The agents that run here, by name.
    pub fn agents(&self) -> Vec<AgentRuntimeInfo> {
        self.read_agents().values().map(|agent| agent.info()).collect()
    }

    /// Figures of all agents together.
    pub fn metrics(&self) -> HostMetrics {
        self.shared.context.metrics.read()
    }

    /// Stops all agents, as [`Host::stop_agent`] does.
    pub async fn shutdown(&self) {
        let names: Vec<AgentName> = {
            let agents = self.read_agents();
            // All at once: what one is still handling delays no other.
            agents.values().for_each(|agent| agent.begin_stop());
            agents.keys().cloned().collect()
        };
        for name in &names {
            let _change = self.change(name).await;
            self.stop(name).await;
        }
    }

    fn offer(&self, envelopes: Vec<Envelope>) -> Vec<Offered> {
        let agents = self.read_agents();
        let mut full = BTreeSet::new();
        let offer = |envelope: Envelope| {
            if full.contains(&envelope.receiver) {
                return Offered::Refused(MessageOutcome::Full);
            }
            let Some(agent) = agents.get(&envelope.receiver) else {
                return Offered::Refused(MessageOutcome::NotHere);
            };
            let receiver = envelope.receiver.clone();
            let offered = agent.offer(envelope);
            if matches!(offered, Offered::Refused(MessageOutcome::Full)) {
                full.insert(receiver);
            }
            offered
        };
        envelopes.into_iter().map(offer).collect()
    }

    fn check_limits(&self, spec: &AgentSpec) -> Result<(), HostError> {
        let (asked, allowed) = (&spec.limits, &self.shared.config.limits_max);
        let limits = [
            ("memory limit in bytes", asked.memory_bytes, allowed.memory_bytes),
            ("time limit in ms", asked.message_time_ms, allowed.message_time_ms),
            ("mailbox size", asked.mailbox.into(), allowed.mailbox.into()),
            ("state limit in bytes", asked.state_bytes, allowed.state_bytes),
        ];
        for (name, asked, allowed) in limits {
            if asked == 0 || asked > allowed {
                return Err(HostError::Limit {
                    agent: spec.name.clone(),
                    name,
                    asked,
                    allowed,
                });
            }
        }
        Ok(())
    }

    async fn change(&self, agent: &AgentName) -> MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(agent);
        self.shared.changes[(hash % CHANGES_MAX as u64) as usize]
            .lock()
            .await
    }

    /// Under the agent's change lock. Says whether it ran.
    async fn stop(&self, name: &AgentName) -> bool {
        let agent = self
            .shared
            .agents
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        match agent {
            Some(agent) => {
                agent.stop().await;
                true
            }
            None => false,
        }
    }

    fn agent(&self, name: &AgentName) -> Option<Arc<Agent>> {
        self.read_agents().get(name).cloned()
    }

    fn read_agents(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<AgentName, Arc<Agent>>> {
        self.shared.agents.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads that run agents.
struct Workers {
    /// Taken only when dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Workers {
    fn new(threads: usize) -> Result<Self, HostError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("agents")
            .enable_time()
            .build()
            .map_err(|error| HostError::Engine(format!("threads for agents: {error}")))?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// Runs `work` where `tokio::spawn` means these threads.
    fn enter<T>(&self, work: impl FnOnce() -> T) -> Result<T, HostError> {
        let runtime = self.runtime.as_ref().ok_or(HostError::ShuttingDown)?;
        let _entered = runtime.enter();
        Ok(work())
    }

    /// Runs `work` on these threads.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, HostError> {
        let task = self.enter(|| tokio::spawn(work))?;
        task.await.map_err(|_| HostError::ShuttingDown)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not wait for its threads on a thread of another one.
            runtime.shutdown_background();
        }
    }
}

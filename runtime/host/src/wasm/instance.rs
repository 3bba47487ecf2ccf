//! One live instance of an agent's module.

use super::engine::{Prepared, TICK};
use super::failure::{Failure, Fault};
use super::guest::{Current, Effects, Guest, Identity};
use super::{State, abi};
use caxton_model::Envelope;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::{Memory, Store, TypedFunc, UpdateDeadline};

/// The largest message that an agent is given, in bytes of JSON.
const MESSAGE_BYTES_MAX: usize = 2 << 20;

/// An instance between two messages. After a failure it is in no known state, and its owner drops it.
pub(crate) struct Instance {
    store: Store<Guest>,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    handle: TypedFunc<(u32, u32), i32>,
}

impl Instance {
    /// Makes a fresh instance and lets it initialise itself. It may read `state`, not change it.
    pub(crate) async fn start(
        prepared: &Prepared,
        identity: Arc<Identity>,
        state: &mut State,
    ) -> Result<Self, Failure> {
        let start_error = |error: wasmtime::Error| Failure::Start(format!("{error:#}"));
        let mut store = Store::new(prepared.pre.module().engine(), Guest::new(identity));
        store.limiter(|guest| &mut guest.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            let guest = context.data();
            if Instant::now() >= guest.deadline {
                let limit_ms = guest.identity.limits.message_time_ms;
                return Err(Fault::Time { limit_ms }.into());
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        arm(&mut store);
        let instance = prepared
            .pre
            .instantiate_async(&mut store)
            .await
            .map_err(start_error)?;
        let missing = || Failure::Start("its export `memory` is gone".to_owned());
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(missing)?;
        let mut this = Self {
            alloc: instance
                .get_typed_func(&mut store, "caxton_alloc")
                .map_err(start_error)?,
            handle: instance
                .get_typed_func(&mut store, "caxton_handle")
                .map_err(start_error)?,
            memory,
            store,
        };
        if let Ok(init) = instance.get_typed_func::<(), i32>(&mut this.store, "caxton_init") {
            let code = this
                .with_state(state, async |this| call(&mut this.store, &init, ()).await)
                .await?;
            if code != 0 {
                return Err(Failure::Start(format!("`caxton_init` answered with code {code}")));
            }
        }
        Ok(this)
    }

    /// Lets the instance handle one message. The changes of `state` are kept exactly if this succeeds.
    pub(crate) async fn handle(
        &mut self,
        state: &mut State,
        envelope: Arc<Envelope>,
    ) -> Result<Effects, Failure> {
        let message = serde_json::to_vec(&*envelope).map_err(|error| Failure::Start(error.to_string()))?;
        if message.len() > MESSAGE_BYTES_MAX {
            let (bytes, bytes_max) = (message.len(), MESSAGE_BYTES_MAX);
            return Err(Failure::TooLarge { bytes, bytes_max });
        }
        self.store.data_mut().current = Some(Current::new(envelope));
        let outcome = self
            .with_state(state, async |this| this.exchange(&message).await)
            .await;
        let current = self.store.data_mut().current.take();
        match (outcome, current) {
            (Ok(0), Some(current)) => Ok(Effects {
                outgoing: current.outgoing,
                changes: state.keep(),
            }),
            (Ok(code), _) => {
                state.discard();
                Err(Failure::Refused(code))
            }
            (Err(failure), _) => {
                state.discard();
                Err(failure)
            }
        }
    }

    /// The size of its linear memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory.data_size(&self.store) as u64
    }

    /// Copies the message into the instance's memory and calls it.
    async fn exchange(&mut self, message: &[u8]) -> Result<i32, Failure> {
        arm(&mut self.store);
        let pointer_error = |ptr, len| Fault::Pointer {
            function: "caxton_alloc",
            ptr,
            len,
        };
        let len = u32::try_from(message.len()).map_err(|_| Failure::Fault(pointer_error(0, u32::MAX)))?;
        let ptr = call(&mut self.store, &self.alloc, len).await?;
        let memory = self.memory.data_mut(&mut self.store);
        let range = abi::range(memory, "caxton_alloc", ptr, len).map_err(Failure::Fault)?;
        memory[range].copy_from_slice(message);
        call(&mut self.store, &self.handle, (ptr, len)).await
    }

    /// Lends the state to the instance while `work` runs. If the future is dropped, so are both.
    async fn with_state<T>(&mut self, state: &mut State, work: impl AsyncFnOnce(&mut Self) -> T) -> T {
        std::mem::swap(state, &mut self.store.data_mut().state);
        let result = work(self).await;
        std::mem::swap(state, &mut self.store.data_mut().state);
        result
    }
}

/// Starts the time that the next calls may take together.
fn arm(store: &mut Store<Guest>) {
    let limit = Duration::from_millis(store.data().identity.limits.message_time_ms);
    store.data_mut().deadline = Instant::now() + limit.max(TICK);
    store.set_epoch_deadline(1);
}

async fn call<P, R>(store: &mut Store<Guest>, function: &TypedFunc<P, R>, params: P) -> Result<R, Failure>
where
    P: wasmtime::WasmParams + Sync,
    R: wasmtime::WasmResults + Sync,
{
    let result = function.call_async(&mut *store, params).await;
    result.map_err(|error| Failure::from_call(&error, store.data().memory.reached))
}

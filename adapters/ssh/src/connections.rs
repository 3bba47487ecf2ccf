//! All connections of this process: one for each host and user, shared by everybody who needs it.

use crate::client::{Connection, lock};
use crate::host::Host;
use crate::reach::Reach;
use caxplan_adapter::{Call, Context};
use caxplan_model::{Cause, FailureKind};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The connections of this process. Opened when first needed, kept, and opened anew when broken.
#[derive(Default)]
pub struct Connections {
    pool: Arc<Pool>,
}

impl Connections {
    /// None are open yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The host that a call is about: that of its argument `host`, else its target's. Opens no connection.
    ///
    /// # Errors
    /// Of kind `invalid` if no host is named, or if the target's variables or OpenSSH's configuration cannot be honoured.
    pub fn host(
        &self,
        call: &Call,
        host_argument: Option<&str>,
        context: &Context,
    ) -> Result<Arc<Host>, Cause> {
        let (name, reach) = Reach::of(call, host_argument, context)?;
        let sudo = crate::Sudo::of_target(call)?;
        let slot = self.pool.slot(reach);
        Ok(Arc::new(Host::new(name, slot, Arc::clone(&self.pool), sudo)))
    }
}

/// One slot for each way to reach a host.
#[derive(Default)]
pub(crate) struct Pool {
    slots: Mutex<HashMap<Reach, Arc<Slot>>>,
}

/// Where the connection of a host is, or will be.
pub(crate) struct Slot {
    pub(crate) reach: Arc<Reach>,
    current: Mutex<Option<Opening>>,
    /// The id of the host's boot when it last ran something.
    pub(crate) boot: Mutex<Option<String>>,
}

/// A connection that is being opened, or has been.
type Opening = Shared<BoxFuture<'static, Result<Arc<Connection>, Cause>>>;

impl Pool {
    fn slot(&self, reach: Reach) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(&reach) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot {
            reach: Arc::new(reach.clone()),
            current: Mutex::new(None),
            boot: Mutex::new(None),
        });
        slots.insert(reach, Arc::clone(&slot));
        slot
    }

    /// The connection of a slot: the open one, or the one that is being opened, or a new one.
    ///
    /// Cancel safe: what was begun goes on for others, for at most the time limit of connecting.
    pub(crate) async fn connection(self: &Arc<Self>, slot: &Slot) -> Result<Arc<Connection>, Cause> {
        let opening = {
            let mut current = lock(&slot.current);
            let usable = current.as_ref().filter(|opening| match opening.peek() {
                None => true,
                Some(Ok(connection)) => !connection.is_closed(),
                Some(Err(_)) => false,
            });
            match usable {
                Some(opening) => opening.clone(),
                None => {
                    let opening = self.open(Arc::clone(&slot.reach));
                    *current = Some(opening.clone());
                    opening
                }
            }
        };
        opening.await
    }

    /// Lets go of a connection that turned out to be broken, unless somebody has done so already.
    pub(crate) fn replace(&self, slot: &Slot, broken: &Arc<Connection>) {
        let mut current = lock(&slot.current);
        if let Some(Some(Ok(connection))) = current.as_ref().map(Shared::peek)
            && Arc::ptr_eq(connection, broken)
        {
            *current = None;
        }
    }

    fn open(self: &Arc<Self>, reach: Arc<Reach>) -> Opening {
        let pool = Arc::clone(self);
        // A task of its own, for the one who asked first may be cancelled while others wait.
        let opening = tokio::spawn(async move {
            let via = match &reach.via {
                Some(via) => {
                    let slot = pool.slot((**via).clone());
                    Some(pool.jump(slot).await?)
                }
                None => None,
            };
            Connection::open(reach, via).await.map(Arc::new)
        });
        async move {
            opening.await.unwrap_or_else(|error| {
                Err(Cause::new(
                    FailureKind::Other,
                    format!("connecting did not end properly: {error}"),
                ))
            })
        }
        .boxed()
        .shared()
    }

    /// As [`Pool::connection`]; boxed, for it is part of itself.
    fn jump(self: &Arc<Self>, slot: Arc<Slot>) -> BoxFuture<'static, Result<Arc<Connection>, Cause>> {
        let pool = Arc::clone(self);
        async move { pool.connection(&slot).await }.boxed()
    }
}

impl Slot {
    /// Lets go of the connection, such that the next one who needs it opens another. What runs on it goes on.
    pub(crate) fn forget(&self) {
        *lock(&self.current) = None;
    }
}

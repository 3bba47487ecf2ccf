//! One systemd's manager, over D-Bus.

use crate::arguments::UnitName;
use crate::failure::{BusError, Failure};
use crate::place::{Dialled, Place};
use crate::state::UnitState;
use caxplan_adapter::Context;
use caxplan_model::{Cause, FailureKind};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use zbus::connection::Builder;
use zbus::{Connection, DynamicType, Message, OwnedObjectPath, OwnedVariant};

const DESTINATION: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub(crate) const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// How long a bus may take to let us in: SSH's own time limit of connecting, by way of a jump host, and what a busy host needs
/// to start the bridge.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(50);

/// How long one call may take. Reading all unit files again takes long on a slow machine with many.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);

/// How many messages may wait: a machine that starts hundreds of units tells us of each.
const QUEUED_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not 0");

/// Our own time, in microseconds since 1970.
fn our_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A connection to one systemd, for one call. (Opening it takes milliseconds beside an SSH connection that is open
/// anyway; keeping it would take one of the host's few sessions.)
pub(crate) struct Bus<'a> {
    pub(crate) connection: Connection,
    pub(crate) place: &'a Place,
    /// The time on that machine at a moment, in microseconds since 1970; ours if it did not say.
    clock: (Instant, u64),
}

impl<'a> Bus<'a> {
    /// Connects.
    ///
    /// # Errors
    /// Nothing was done. Cancel safe.
    pub(crate) async fn open(place: &'a Place, context: &Context) -> Result<Self, Cause> {
        let opening = async {
            let mut said = None;
            let mut now_us = None;
            let builder = match place.dial(context).await? {
                Dialled::System => Builder::system(),
                Dialled::User => Builder::session(),
                Dialled::Address(address) => Builder::address(address.as_str()),
                Dialled::Bridge {
                    bridge,
                    said: listener,
                    now_us: now,
                } => {
                    said = Some(listener);
                    now_us = now;
                    Builder::socket(bridge)
                }
            };
            let clock = (Instant::now(), now_us.unwrap_or_else(our_time));
            let built = builder
                .max_queued(QUEUED_MAX)
                .method_timeout(CALL_TIMEOUT)
                .build();
            let connection = built.await.map_err(|error| {
                let said = said.map(|said| said.text()).unwrap_or_default();
                place.explain(&error, &said)
            })?;
            Ok(Self {
                connection,
                place,
                clock,
            })
        };
        let opening = async {
            match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
                Ok(opened) => opened,
                Err(_) => Err(Cause::new(
                    FailureKind::Timeout,
                    format!(
                        "systemd of {} did not let us in within {} s",
                        place.name(),
                        CONNECT_TIMEOUT.as_secs()
                    ),
                )),
            }
        };
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(Cause::new(
                FailureKind::Cancelled,
                format!("stopped before anything was asked of {}", place.name()),
            )),
            opened = opening => opened,
        }
    }

    /// The machine's name for people.
    pub(crate) fn on(&self) -> &str {
        self.place.name()
    }

    /// Calls a method of the manager and gives its answer.
    pub(crate) async fn manager<B>(&self, method: &str, body: &B) -> Result<Message, BusError>
    where
        B: serde::Serialize + DynamicType,
    {
        self.call(MANAGER_PATH, MANAGER, method, body).await
    }

    /// Calls a method of any object of systemd's.
    pub(crate) async fn call<B>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<Message, BusError>
    where
        B: serde::Serialize + DynamicType,
    {
        Ok(self
            .connection
            .call_method(Some(DESTINATION), path, Some(interface), method, body)
            .await?)
    }

    /// The state of a unit, be it there or not.
    pub(crate) async fn unit(&self, name: &UnitName) -> Result<UnitState, BusError> {
        if name.is_template() {
            return Ok(UnitState::of_template(name));
        }
        let loaded = self.manager("LoadUnit", &name.as_str()).await?;
        let path: OwnedObjectPath = loaded.body().deserialize()?;
        // An empty interface means all of them: one question, whatever the unit's type.
        let answer = self
            .call(path.as_str(), "org.freedesktop.DBus.Properties", "GetAll", &"")
            .await?;
        let properties: HashMap<String, OwnedVariant> = answer.body().deserialize()?;
        let mut state = UnitState::of_properties(name, &properties);
        // The property is as old as the last reload; the files are as they are.
        if let Some(file) = self.file_state(name).await? {
            state.unit_file_state = file;
        }
        Ok(state)
    }

    /// What `systemctl is-enabled` says; none if there is no file.
    pub(crate) async fn file_state(&self, name: &UnitName) -> Result<Option<String>, BusError> {
        match self.manager("GetUnitFileState", &name.as_str()).await {
            Ok(answer) => Ok(Some(answer.body().deserialize()?)),
            Err(BusError::Refused { .. }) => Ok(None),
            Err(error @ BusError::Broken(_)) => Err(error),
        }
    }

    /// [`Bus::unit`] as an action needs it.
    pub(crate) async fn look(&self, name: &UnitName) -> Result<UnitState, Failure> {
        self.unit(name)
            .await
            .map_err(|error| error.reading(&format!("read the state of {name}"), self.on()))
    }

    /// The time on that machine, in microseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        let (at, time) = self.clock;
        time.saturating_add(micros(at.elapsed()))
    }

    /// Lets systemd read its unit files again.
    pub(crate) async fn reload(&self) -> Result<(), Failure> {
        self.manager("Reload", &())
            .await
            .map(|_| ())
            .map_err(|error| error.changing("have the unit files read again", self.on()))
    }
}

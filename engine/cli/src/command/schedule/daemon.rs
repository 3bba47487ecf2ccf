//! `caxplan schedule daemon`.

use super::look::{Due, Look, look};
use super::sources::{Found, Reader, Sources, With};
use super::start::{command, judge};
use crate::composition::runtime;
use crate::failure::Answer;
use crate::ui;
use caxplan_model::Timestamp;
use caxplan_run::{Ledger, ScheduleKey, StateDir};
use clap::Args;
use std::collections::BTreeMap;
use std::process::{ExitCode, Output};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

/// Stay, and run what is due when it is due
///
/// Files that change are read again. SIGTERM or SIGINT: no run is started any more, those that go on end by themselves;
/// a second one interrupts them too. SIGHUP looks at once.
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    with: With,
}

/// How long it sleeps at most: so late it sees an edited file, a clock that was set, or that the machine was suspended.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// How long a time rests whose program has ended.
const REST: caxplan_model::Duration = caxplan_model::Duration::from_secs(30);

impl Daemon {
    pub(crate) fn execute(self) -> Answer {
        let dir = StateDir::locate()?;
        let ledger = Ledger::open(&dir)?;
        runtime()?.block_on(async {
            let mut at_work = AtWork {
                sources: self.sources,
                with: self.with,
                reader: Reader::default(),
                ledger,
                going_on: BTreeMap::new(),
                runs: JoinSet::new(),
                rests: BTreeMap::new(),
                trouble: String::new(),
            };
            at_work.work(&mut Signals::new()?).await
        })
    }
}

struct AtWork {
    sources: Sources,
    with: With,
    reader: Reader,
    ledger: Ledger,
    /// The process of each run that was started here.
    going_on: BTreeMap<(ScheduleKey, Timestamp), u32>,
    /// Until when a time is not started anew: one whose program failed before it could claim it stays due.
    rests: BTreeMap<(ScheduleKey, Timestamp), Timestamp>,
    runs: JoinSet<(Due, std::io::Result<Output>)>,
    /// What was wrong at the last look: it is said once.
    trouble: String,
}

struct Signals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next order to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl AtWork {
    async fn work(&mut self, signals: &mut Signals) -> Answer {
        let found = self.reader.read(&self.sources)?;
        ui::say(&format!("watching {} schedules\n", found.scheduled.len()));
        notify("READY=1");
        loop {
            let next = self.look();
            let now = caxplan_run::now();
            let until = next.map_or(SLEEP_MAX, |next| {
                Duration::from_millis(next.since(now).as_millis())
            });
            // A run whose time has passed and that is not started yet must not make this spin.
            let sleep = until.clamp(Duration::from_millis(20), SLEEP_MAX);
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                _ = signals.hangup.recv() => {}
                Some(ended) = self.runs.join_next() => self.ended(ended),
                _ = signals.term.recv() => break,
                _ = signals.interrupt.recv() => break,
            }
        }
        self.drain(signals).await
    }

    /// Waits for the runs that go on.
    async fn drain(&mut self, signals: &mut Signals) -> Answer {
        notify("STOPPING=1");
        if !self.runs.is_empty() {
            ui::say(&format!(
                "starting no more; waiting for {} runs (a second signal interrupts them)\n",
                self.runs.len()
            ));
        }
        loop {
            tokio::select! {
                ended = self.runs.join_next() => match ended {
                    Some(ended) => self.ended(ended),
                    None => return Ok(ExitCode::SUCCESS),
                },
                () = signals.stop() => self.interrupt(),
            }
        }
    }

    fn interrupt(&self) {
        for pid in self.going_on.values() {
            let pid = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                // It may have ended in this moment.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
    }

    /// Looks, starts what is due, and answers when to look again.
    fn look(&mut self) -> Option<Timestamp> {
        match self.try_look() {
            Ok(look) => {
                self.trouble.clear();
                for note in look.notes {
                    ui::say(&format!("{note}\n"));
                }
                for due in look.due {
                    self.start(due);
                }
                look.next
            }
            // A full disk, a folder that is gone: it may be well again at the next look.
            Err(failure) => {
                let trouble = failure.message().to_owned();
                if trouble != self.trouble {
                    failure.report();
                    self.trouble = trouble;
                }
                None
            }
        }
    }

    fn try_look(&mut self) -> Answer<Look> {
        let Found { scheduled, bad } = self.reader.read(&self.sources)?;
        for bad in bad.into_iter().filter(|bad| bad.is_new) {
            let file = bad.file.display();
            ui::say(&format!(
                "{file}: {}; it does not run until it is right\n",
                bad.line
            ));
        }
        look(&mut self.ledger, &scheduled, caxplan_run::now())
    }

    fn start(&mut self, due: Due) {
        let name = (due.scheduled.key.clone(), due.due);
        let now = caxplan_run::now();
        self.rests.retain(|_, until| *until > now);
        if self.going_on.contains_key(&name) || self.rests.contains_key(&name) {
            return;
        }
        let child = command(&due, &self.with).and_then(|command| {
            let mut command = tokio::process::Command::from(command);
            // An interrupt at the terminal is for the daemon alone: it says whether the runs get one.
            Ok(command.process_group(0).spawn()?)
        });
        match child {
            Ok(child) => {
                ui::say(&format!(
                    "started: {}, due {}\n",
                    due.scheduled,
                    due.scheduled.local(due.due)
                ));
                self.going_on.insert(name, child.id().unwrap_or(0));
                self.runs
                    .spawn(async move { (due, child.wait_with_output().await) });
            }
            Err(failure) => {
                failure.report();
            }
        }
    }

    fn ended(&mut self, ended: Result<(Due, std::io::Result<Output>), tokio::task::JoinError>) {
        let Ok((due, output)) = ended else {
            return;
        };
        let one = &due.scheduled;
        let name = (one.key.clone(), due.due);
        self.going_on.remove(&name);
        self.rests.insert(name, caxplan_run::now().after(REST));
        match output {
            Ok(output) => match judge(&due, &output) {
                (0, said) if said.is_empty() => {
                    ui::say(&format!("ended well: {one}, due {}\n", one.local(due.due)));
                }
                (_, said) => ui::say(&said),
            },
            Err(error) => ui::say(&format!("{one}: its program cannot be waited for: {error}\n")),
        }
    }
}

/// Tells systemd, if it started this as a service of `Type=notify`.
fn notify(state: &str) {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let name = path.to_string_lossy();
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name.as_bytes()),
        None => SocketAddr::from_pathname(&path),
    };
    // Without its manager a daemon still does its work.
    if let (Ok(socket), Ok(address)) = (UnixDatagram::unbound(), address) {
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}

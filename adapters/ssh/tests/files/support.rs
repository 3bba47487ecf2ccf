//! A server, an adapter, and calls.

use caxplan_adapter::{Adapter, Call, Context, Forecast, OutputSink, Stream, async_trait};
use caxplan_model::{ActionSpec, AttemptNo, Cause, Outcome, RunId, StepId, Target, Value, Verdict};
use caxton_tests::{Account, Sshd, SshdOptions};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A server with a folder on it, and an adapter whose calls are about that server.
pub(super) struct Stage {
    pub(super) fleet: Sshd,
    pub(super) adapter: Arc<dyn Adapter>,
    pub(super) target: Target,
    /// Of this machine, which is also the host: what lies here is what the host has.
    pub(super) folder: tempfile::TempDir,
    pub(super) notes: Arc<Notes>,
}

impl Stage {
    /// `None` where there is no sshd (but never in CI).
    pub(super) fn new() -> Option<Self> {
        Self::with(&SshdOptions::default(), &Account::own())
    }

    pub(super) fn with(options: &SshdOptions, account: &Account) -> Option<Self> {
        if !Sshd::is_there() {
            return None;
        }
        let fleet = Sshd::with(1, options);
        let vars = fleet.target_vars(0, account);
        Some(Self {
            target: Target {
                name: "h1".to_owned(),
                groups: Vec::new(),
                labels: BTreeMap::new(),
                vars: vars.as_object().cloned().unwrap_or_default(),
            },
            fleet,
            adapter: caxplan_ssh::adapter(),
            folder: account.folder(),
            notes: Arc::default(),
        })
    }

    /// A path on the host.
    pub(super) fn at(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("made");
        fs::write(&path, content).expect("written");
        self.at(name)
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(super) fn context(&self) -> Context {
        Context {
            output: Arc::clone(&self.notes) as Arc<dyn OutputSink>,
            ..Context::detached(self.folder.path())
        }
    }

    pub(super) fn call(&self, action: &str, with: &Value) -> Call {
        Call {
            action: action.to_owned(),
            with: with.as_object().cloned().expect("arguments"),
            target: Some(self.target.clone()),
            run: RunId::from("01run"),
            step: StepId::from("phase/step"),
            attempt: AttemptNo::FIRST,
        }
    }

    pub(super) async fn forecast(&self, action: &str, with: &Value) -> Forecast {
        let forecast = self
            .adapter
            .forecast(&self.call(action, with), &self.context())
            .await;
        forecast.unwrap_or_else(|cause| panic!("{action} {with}: {cause}"))
    }

    pub(super) async fn perform(&self, action: &str, with: &Value) -> Outcome {
        self.adapter
            .perform(&self.call(action, with), &self.context())
            .await
    }

    /// Performs what must succeed, and gives what an undo needs.
    pub(super) async fn succeed(&self, action: &str, with: &Value) -> Value {
        let before = self.forecast(action, with).await.before;
        let outcome = self.perform(action, with).await;
        assert!(
            matches!(outcome, Outcome::Changed { .. }),
            "{action} {with}: {outcome:?}"
        );
        let again = self.perform(action, with).await;
        assert!(
            matches!(again, Outcome::Unchanged { .. }),
            "{action} {with} again: {again:?}"
        );
        before
    }

    /// Undoes it, twice.
    pub(super) async fn undo(&self, action: &str, with: &Value, before: &Value) {
        let call = self.call(action, with);
        let undone = self.adapter.undo(&call, before, &self.context()).await;
        assert!(
            matches!(undone, Outcome::Changed { .. }),
            "{action} {with}: {undone:?}"
        );
        let again = self.adapter.undo(&call, before, &self.context()).await;
        assert!(again.is_success(), "{action} {with} undone again: {again:?}");
    }

    /// What lies in the folder, but for what is kept for an undo.
    pub(super) fn picture(&self) -> BTreeMap<String, String> {
        picture(self.folder.path())
    }

    /// What a transfer has left beside its place.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        walk(self.folder.path(), &mut |path| {
            let name = path.to_string_lossy().into_owned();
            if name.contains(".caxplan-") {
                left.push(name);
            }
        });
        left
    }
}

pub(super) fn picture(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    walk(root, &mut |path| {
        let name = path
            .strip_prefix(root)
            .expect("in it")
            .to_string_lossy()
            .into_owned();
        if name.contains(".caxplan-") {
            return;
        }
        let meta = fs::symlink_metadata(path).expect("it is there");
        let content = if meta.is_symlink() {
            format!("-> {}", fs::read_link(path).expect("a link").display())
        } else if meta.is_dir() {
            "folder".to_owned()
        } else {
            String::from_utf8_lossy(&fs::read(path).expect("readable")).into_owned()
        };
        found.insert(name, format!("{:o} {content}", meta.permissions().mode()));
    });
    found
}

fn walk(folder: &Path, see: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        see(&entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), see);
        }
    }
}

/// Keeps what actions say.
#[derive(Default)]
pub(super) struct Notes(Mutex<String>);

impl Notes {
    pub(super) fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl OutputSink for Notes {
    fn write(&self, _: Stream, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(&text);
    }

    fn mask(&self, _: &str) {}
}

/// The adapter's file actions, with a target for calls that have none.
pub(super) struct OnTarget {
    pub(super) adapter: caxplan_adapter::ActionSet,
    pub(super) target: Target,
}

impl OnTarget {
    fn aimed(&self, call: &Call) -> Call {
        Call {
            target: Some(self.target.clone()),
            ..call.clone()
        }
    }
}

#[async_trait]
impl Adapter for OnTarget {
    fn name(&self) -> &'static str {
        self.adapter.name()
    }

    fn describe(&self) -> Vec<ActionSpec> {
        // Commands have tests of their own.
        let mut specs = self.adapter.describe();
        let files = ["ssh.upload", "ssh.download", "ssh.template", "ssh.file"];
        specs.retain(|spec| files.contains(&spec.name.as_str()));
        specs
    }

    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause> {
        self.adapter.forecast(&self.aimed(call), context).await
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        self.adapter.perform(&self.aimed(call), context).await
    }

    async fn probe(&self, call: &Call, context: &Context) -> Verdict {
        self.adapter.probe(&self.aimed(call), context).await
    }

    async fn undo(&self, call: &Call, before: &Value, context: &Context) -> Outcome {
        self.adapter.undo(&self.aimed(call), before, context).await
    }
}

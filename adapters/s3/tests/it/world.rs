//! Calling the adapter as the engine would.

use crate::servers::{KEY, Moto, SECRET, Strict};
use caxplan_adapter::{Adapter, Call, Change, Context, Forecast, OutputSink, Stream, conformance};
use caxplan_model::{Cause, Outcome, StepId, Value, Verdict};
use serde_json::json;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A service to speak to, a folder for files, and what was said.
pub(crate) struct World {
    adapter: Arc<dyn Adapter>,
    pub(crate) endpoint: String,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) said: Arc<Said>,
    pub(crate) context: Context,
}

#[derive(Default)]
pub(crate) struct Said(Mutex<String>);

impl Said {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl OutputSink for Said {
    fn write(&self, _: Stream, bytes: &[u8]) {
        self.0.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
    }
    fn mask(&self, _: &str) {}
}

impl World {
    pub(crate) fn new(endpoint: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = Arc::new(Said::default());
        let context = Context {
            output: said.clone(),
            ..Context::detached(folder.path())
        };
        Self {
            adapter: caxplan_s3::adapter(),
            endpoint: endpoint.to_owned(),
            folder,
            said,
            context,
        }
    }

    pub(crate) fn with(&self, mut arguments: Value) -> Value {
        for (name, value) in [
            ("endpoint", self.endpoint.as_str()),
            ("access_key", KEY),
            ("secret_key", SECRET),
        ] {
            if arguments.get(name).is_none() {
                arguments[name] = json!(value);
            }
        }
        arguments
    }

    pub(crate) fn call(&self, action: &str, step: &str, arguments: Value) -> Call {
        let call = conformance::call(action, &self.with(arguments));
        Call {
            step: StepId::from(step),
            ..call
        }
    }

    pub(crate) async fn perform(&self, action: &str, arguments: Value) -> Outcome {
        self.adapter
            .perform(&self.call(action, "test/step", arguments), &self.context)
            .await
    }

    /// Performs what must end well; gives whether something changed, and the output.
    pub(crate) async fn does(&self, action: &str, arguments: Value) -> (bool, Value) {
        match self.perform(action, arguments.clone()).await {
            Outcome::Changed { output } => (true, output),
            Outcome::Unchanged { output } => (false, output),
            outcome => panic!("{action} {arguments} gave {outcome:?}\n{}", self.said.text()),
        }
    }

    /// Performs what must fail; gives the cause, and whether it may have acted.
    pub(crate) async fn fails(&self, action: &str, arguments: Value) -> (Cause, bool) {
        let outcome = self.perform(action, arguments.clone()).await;
        let cause = outcome
            .cause()
            .unwrap_or_else(|| panic!("{action} {arguments} gave {outcome:?}"));
        (cause.clone(), outcome.may_have_acted())
    }

    pub(crate) async fn forecast(&self, action: &str, arguments: Value) -> Result<Forecast, Cause> {
        self.adapter
            .forecast(&self.call(action, "test/step", arguments), &self.context)
            .await
    }

    pub(crate) async fn foresees(&self, action: &str, arguments: Value) -> (Change, String) {
        let forecast = self.forecast(action, arguments.clone()).await;
        let forecast = forecast.unwrap_or_else(|cause| panic!("{action} {arguments}: {cause}"));
        (forecast.change, forecast.summary)
    }

    pub(crate) async fn probe(&self, action: &str, arguments: Value) -> Verdict {
        self.adapter
            .probe(&self.call(action, "test/step", arguments), &self.context)
            .await
    }

    /// Performs in a step of its own, then undoes it, twice, by what the forecast remembered.
    pub(crate) async fn does_and_undoes(&self, action: &str, step: &str, arguments: Value) {
        let call = self.call(action, step, arguments.clone());
        let before = self.adapter.forecast(&call, &self.context).await.unwrap().before;
        let done = self.adapter.perform(&call, &self.context).await;
        assert!(
            matches!(done, Outcome::Changed { .. }),
            "{action} {arguments} gave {done:?}"
        );
        for time in ["first", "second"] {
            let undone = self.adapter.undo(&call, &before, &self.context).await;
            assert!(
                undone.is_success(),
                "the {time} undo of {action} {arguments} gave {undone:?}"
            );
        }
    }

    pub(crate) async fn undo(&self, call: &Call, before: &Value) -> Outcome {
        self.adapter.undo(call, before, &self.context).await
    }

    pub(crate) async fn perform_call(&self, call: &Call) -> Outcome {
        self.adapter.perform(call, &self.context).await
    }

    pub(crate) async fn forecast_call(&self, call: &Call) -> Forecast {
        self.adapter.forecast(call, &self.context).await.unwrap()
    }

    /// Puts a text.
    pub(crate) async fn put(&self, url: &str, text: &str) {
        self.does("s3.put", json!({ "content": text, "to": url })).await;
    }

    /// The object's text; `None` if it is not there.
    pub(crate) async fn text(&self, url: &str) -> Option<String> {
        let dest = self.folder.path().join("text-of");
        match self
            .perform("s3.get", json!({ "from": url, "dest": "text-of" }))
            .await
        {
            outcome if outcome.is_success() => {
                let text = std::fs::read_to_string(&dest).unwrap();
                std::fs::remove_file(dest).unwrap();
                Some(text)
            }
            outcome => {
                assert_eq!(
                    outcome.cause().unwrap().kind,
                    caxplan_model::FailureKind::NotFound,
                    "{outcome:?}"
                );
                None
            }
        }
    }

    /// The keys below a prefix.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let (_, listed) = self.does("s3.list", json!({ "prefix": prefix })).await;
        let keys = listed["objects"].as_array().unwrap().iter();
        keys.map(|object| object["key"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A file of so many bytes that do not repeat.
    pub(crate) fn file(&self, name: &str, bytes: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        let content: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .flatten()
        .take(bytes)
        .collect();
        std::fs::write(self.path(name), &content).unwrap();
        content
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

/// All files below a folder, with their content.
pub(crate) fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Does the same with each server.
pub(crate) async fn with_each(test: impl AsyncFn(&World, &str)) {
    let strict = Strict::start().await;
    test(&World::new(&strict.endpoint), "strict").await;
    if let Some(moto) = Moto::start().await {
        test(&World::new(&moto.endpoint), "moto").await;
    }
}

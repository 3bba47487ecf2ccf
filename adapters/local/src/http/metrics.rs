//! `http.metrics`: the figures that a service exposes about itself.

use super::expect::Expect;
use super::exposition::{Sample, Selector, read};
use super::get::{default_redirects, read_only};
use super::send::{Send, SendError, send};
use crate::Scalar;
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureKind, Map, Outcome, Value};
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The most figures that are put out: they stand in the journal.
const FIGURES_MAX: usize = 2_000;

/// Labels by which the samples of a histogram or summary differ; a sum over them says nothing.
const NO_SUM_OVER: [&str; 2] = ["le", "quantile"];

/// Numbers beyond this are not all whole numbers of JSON.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Arguments of `http.metrics`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpMetrics {
    /// The address of the page, in the text format of Prometheus.
    pub url: String,
    /// Headers. They are not sent on to another service.
    #[serde(default)]
    pub headers: BTreeMap<String, Scalar>,
    /// Figures by names of your own: the sum over the samples that carry these labels, `nodes{state="failed"}`. Without
    /// it, every metric of the page by its own name: the sum over all its labels.
    #[serde(default)]
    pub select: BTreeMap<String, String>,
    /// What a selection counts as that no sample is in; that is a failure if absent.
    #[serde(default)]
    pub absent: Option<f64>,
    /// How long the answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How often it may be sent on to another address; never from an encrypted one to one that is not.
    #[serde(default = "default_redirects")]
    pub redirects: u32,
    /// A file of certificates in PEM, relative to the plan's folder: trusted instead of the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

impl HttpMetrics {
    fn selectors(&self) -> Result<Vec<(&String, Selector)>, Cause> {
        let read = |(name, text): (&'_ String, &String)| match Selector::read(text) {
            Ok(selector) => Ok((name.clone(), selector)),
            Err(why) => Err(Cause::new(
                FailureKind::Invalid,
                format!("`{text}` selects no samples: {why}"),
            )
            .with_hint("write `name{label=\"value\"}`")),
        };
        self.select
            .iter()
            .map(|entry| read(entry).map(|(_, selector)| (entry.0, selector)))
            .collect()
    }

    async fn read(&self, context: &Context) -> Result<Value, SendError> {
        let selectors = self.selectors()?;
        let mut headers = self.headers.clone();
        headers
            .entry("accept".to_owned())
            .or_insert_with(|| Scalar::Text("text/plain;version=0.0.4".to_owned()));
        let request = Send {
            method: Method::GET,
            url: &self.url,
            headers: &headers,
            body: None,
            timeout: self.timeout,
            redirects: self.redirects,
            ca: self.ca.as_ref().map(|ca| context.plan_dir.join(ca)),
            idempotency_key: None,
        };
        let answer = send(&request).await?;
        let what = request.what();
        Expect::default().met(&what, &answer)?;
        let unreadable = |why: String| {
            Cause::new(
                FailureKind::Expectation,
                format!("{what} answered with no page of metrics: {why}"),
            )
        };
        let page = std::str::from_utf8(&answer.body).map_err(|error| unreadable(error.to_string()))?;
        let samples = read(page).map_err(unreadable)?;
        if self.select.is_empty() {
            return Ok(all(&samples, &what)?);
        }
        let mut figures = Map::new();
        for (name, selector) in &selectors {
            let met: Vec<f64> = samples
                .iter()
                .filter(|sample| selector.is_met(sample))
                .map(|sample| sample.value)
                .collect();
            let value = match (met.is_empty(), self.absent) {
                (false, _) => met.iter().sum(),
                (true, Some(absent)) => absent,
                (true, None) => {
                    let message = format!("{what}: no sample is `{}`", self.select[*name]);
                    return Err(Cause::new(FailureKind::NotFound, message)
                        .with_hint("if that is no fault, say what it counts as: `absent: 0`")
                        .into());
                }
            };
            figures.insert((*name).clone(), number(value));
        }
        Ok(Value::Object(figures))
    }
}

/// Every metric by its name.
fn all(samples: &[Sample], what: &str) -> Result<Value, Cause> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for sample in samples {
        let is_part = |(label, _): &(String, String)| NO_SUM_OVER.contains(&label.as_str());
        if !sample.labels.iter().any(is_part) {
            *sums.entry(&sample.name).or_default() += sample.value;
        }
    }
    if sums.len() > FIGURES_MAX {
        let message = format!(
            "{what} answered with {} metrics, more than {FIGURES_MAX}",
            sums.len()
        );
        return Err(
            Cause::new(FailureKind::Conflict, message).with_hint("name those that you need in `select`")
        );
    }
    Ok(sums
        .into_iter()
        .map(|(name, value)| (name.to_owned(), number(value)))
        .collect::<Map>()
        .into())
}

/// A figure as JSON: whole numbers as such, what is no number as `null`.
#[allow(clippy::cast_possible_truncation)]
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < WHOLE_MAX {
        json!(value as i64)
    } else {
        json!(value)
    }
}

#[async_trait]
impl Action for HttpMetrics {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "description": "The figures by name; null for one that is no finite number.",
                "additionalProperties": { "type": ["number", "null"] },
            }),
            examples: vec![
                json!({ "url": "http://127.0.0.1:9090/metrics" }),
                json!({
                    "url": "http://127.0.0.1:9090/metrics",
                    "select": { "failed_nodes": "caxton_cluster_nodes{state=\"failed\"}" },
                    "absent": 0,
                }),
            ],
            ..reads::<Self>(
                "http.metrics",
                "Reads the metrics of a service, in the text format of Prometheus",
            )
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        self.selectors()?;
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!("reads the metrics at {}", self.url),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        read_only("GET", &self.url, context, self.read(context)).await
    }
}

//! `caxton.message.exchange`: an integration test that sends real requests and checks the answers.

use super::output;
use crate::ClusterRef;
use crate::cluster::alive_members;
use crate::failure::{Failure, carry_out, cause, reading};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, UndoSupport, Value};
use caxton_client::Client;
use caxton_model::api::SendRequest;
use caxton_model::{AgentName, ConversationId, Delivery, Envelope, MessageId, NodeId, Performative};
use futures_util::{StreamExt as _, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// The capability of agents that answer each request with its content.
const ECHO: &str = "echo";

/// The most requests of one exchange.
const COUNT_MAX: u32 = 100_000;

/// How many requests of one node are on their way to being accepted at once.
const SENDS_AT_ONCE: usize = 8;

/// How many answers are fetched at once.
const PAGE: u32 = 256;

/// How long one fetch waits for an answer.
const FETCH_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// The pause after a call that failed and may succeed later.
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

fn default_count() -> u32 {
    60
}

fn default_within() -> Duration {
    Duration::from_secs(30)
}

/// Arguments of `caxton.message.exchange`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageExchange {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// How many requests to send, spread over all nodes that take messages; at least one to each.
    #[serde(default = "default_count")]
    #[schemars(range(min = 1, max = COUNT_MAX))]
    count: u32,
    /// The agents to ask, which must answer a request with its content; all with the capability `echo` if absent.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    receivers: Option<Vec<AgentName>>,
    /// How long all of it may take.
    #[serde(default = "default_within")]
    within: Duration,
}

#[async_trait]
impl Action for MessageExchange {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[
                ("sent", "integer"),
                ("answered", "integer"),
                ("lost", "integer"),
                ("doubled", "integer"),
                ("wrong", "integer"),
                ("slowest_ms", "number"),
                ("p99_ms", "number"),
            ]),
            // Each exchange is its own conversation with its own mailbox, so another one disturbs none before.
            idempotent: true,
            undo: UndoSupport::NotNeeded,
            examples: vec![json!({ "cluster": "dev:demo", "count": 60 })],
            ..changes::<Self>(
                "caxton.message.exchange",
                "Sends requests to agents through every node and checks each answer",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let receivers = async { self.find_receivers(&self.cluster.connect(context)?).await };
        let receivers = receivers.await.map_err(|failure| failure.cause)?;
        Ok(Forecast {
            change: Change::Would,
            summary: format!("would send {} requests to {} agents", self.count, receivers.len()),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        carry_out(context, FailureEffect::Possible, async {
            let client = self.cluster.connect(context)?;
            let receivers = self.find_receivers(&client).await?;
            let deadline = Instant::now() + self.within.as_std();
            let mut members = alive_members(&client).await?;
            // A node that is drained takes no messages of clients.
            members.retain(|member| member.status == "alive");
            let share = self
                .count
                .div_ceil(u32::try_from(members.len().max(1)).unwrap_or(u32::MAX));
            let mut exchanges = Vec::new();
            for member in &members {
                let at = client.pinned(&member.api_addr).map_err(reading)?;
                exchanges.push(exchange(at, &member.id, share, &receivers, deadline));
            }
            let mut total = Tally::default();
            for result in futures_util::future::join_all(exchanges).await {
                total.add(result?);
            }
            total.into_outcome()
        })
        .await
    }
}

impl MessageExchange {
    async fn find_receivers(&self, client: &Client) -> Result<Vec<AgentName>, Failure> {
        if let Some(receivers) = &self.receivers {
            return Ok(receivers.clone());
        }
        let agents = client.agents().await.map_err(reading)?;
        let receivers: Vec<AgentName> = agents
            .into_iter()
            .filter(|agent| {
                agent
                    .spec
                    .capabilities
                    .iter()
                    .any(|capability| capability == ECHO)
            })
            .map(|agent| agent.spec.name)
            .collect();
        if receivers.is_empty() {
            return Err(Failure::before(
                Cause::new(
                    FailureKind::NotFound,
                    format!("no agent has the capability `{ECHO}`, so there is nobody to ask"),
                )
                .with_hint("deploy the example agent `echo`, or name `receivers`"),
            ));
        }
        Ok(receivers)
    }
}

/// Sends `count` requests through one node and collects the answers until all are there or it is too late.
async fn exchange(
    at: Client,
    node: &NodeId,
    count: u32,
    receivers: &[AgentName],
    deadline: Instant,
) -> Result<Tally, Failure> {
    let name = format!("caxplan-{}-{node}", ulid::Ulid::new().to_string().to_lowercase());
    let mailbox = AgentName(format!("client/{name}"));
    let requests: Vec<SendRequest> = (0..count)
        .zip(receivers.iter().cycle())
        .map(|(number, receiver)| request(&name, &mailbox, number, receiver))
        .collect();
    let sending = stream::iter(requests)
        .map(|request| send(&at, request, deadline))
        .buffer_unordered(SENDS_AT_ONCE)
        .collect::<Vec<_>>();
    let (sent, answers) = tokio::join!(sending, receive(&at, &mailbox, count, deadline));
    let sent: Vec<Sent> = sent.into_iter().collect::<Result<_, _>>()?;
    Ok(Tally::of(&sent, &answers))
}

fn request(name: &str, mailbox: &AgentName, number: u32, receiver: &AgentName) -> SendRequest {
    SendRequest {
        id: Some(MessageId(ulid::Ulid::new().to_string())),
        performative: Performative::Request,
        sender: mailbox.clone(),
        receiver: receiver.clone(),
        content: json!({ "text": name, "number": number }),
        conversation_id: Some(ConversationId(name.to_owned())),
        reply_with: Some(format!("{name}-{number}")),
        in_reply_to: None,
        delivery: Delivery::AtLeastOnce,
    }
}

/// A request that a node has accepted.
struct Sent {
    reply_with: String,
    content: Value,
    at: Instant,
}

/// An answer from the mailbox.
struct Answer {
    envelope: Envelope,
    at: Instant,
}

/// Sends until it is accepted: the same message, so trying again makes no second one.
async fn send(at: &Client, request: SendRequest, deadline: Instant) -> Result<Sent, Failure> {
    let sent_at = Instant::now();
    loop {
        match at.send_message(&request).await {
            Ok(_) => {
                return Ok(Sent {
                    reply_with: request.reply_with.unwrap_or_default(),
                    content: request.content,
                    at: sent_at,
                });
            }
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(Failure::midway(cause(&error))),
        }
    }
}

async fn receive(at: &Client, mailbox: &AgentName, count: u32, deadline: Instant) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut ack = None;
    let mut complete = false;
    loop {
        match at.mailbox(mailbox, PAGE, FETCH_WAIT, ack).await {
            Ok(page) => {
                // One page after the last answer shows whether one came twice.
                if complete || (page.messages.is_empty() && Instant::now() >= deadline) {
                    answers.extend(page.messages.into_iter().map(Answer::now));
                    return answers;
                }
                ack = Some(page.cursor);
                for envelope in page.messages {
                    seen.extend(envelope.in_reply_to.clone());
                    answers.push(Answer::now(envelope));
                }
                complete = seen.len() >= count as usize;
            }
            Err(_) if Instant::now() < deadline => tokio::time::sleep(RETRY_PAUSE).await,
            Err(_) => return answers,
        }
    }
}

impl Answer {
    fn now(envelope: Envelope) -> Self {
        Self {
            envelope,
            at: Instant::now(),
        }
    }

    /// Whether it says what was asked, as an echo or as a field of a longer answer.
    fn says(&self, content: &Value) -> bool {
        let refused = matches!(
            self.envelope.performative,
            Performative::Failure | Performative::NotUnderstood
        );
        let answer = &self.envelope.content;
        let fields = answer.as_object().into_iter().flat_map(|fields| fields.values());
        !refused && (answer == content || fields.into_iter().any(|field| field == content))
    }
}

/// What became of the requests.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    sent: usize,
    answered: usize,
    doubled: usize,
    wrong: usize,
    /// The first few that were not answered or not answered well, for a person.
    examples: Vec<String>,
    /// From sending to answer, in milliseconds.
    latencies: Vec<f64>,
}

/// How many bad answers a message shows.
const EXAMPLES_MAX: usize = 3;

impl Tally {
    fn of(sent: &[Sent], answers: &[Answer]) -> Self {
        let mut by_request: BTreeMap<&str, Vec<&Answer>> = BTreeMap::new();
        for answer in answers {
            let key = answer.envelope.in_reply_to.as_deref().unwrap_or_default();
            by_request.entry(key).or_default().push(answer);
        }
        let mut tally = Self {
            sent: sent.len(),
            ..Self::default()
        };
        for request in sent {
            let Some(answers) = by_request.get(&*request.reply_with) else {
                tally.note(format!("{} was not answered", request.reply_with));
                continue;
            };
            tally.answered += 1;
            tally.doubled += answers.len() - 1;
            let latency = answers[0].at.saturating_duration_since(request.at);
            tally.latencies.push(latency.as_secs_f64() * 1000.0);
            if let Some(answer) = answers.iter().find(|answer| !answer.says(&request.content)) {
                tally.wrong += 1;
                tally.note(format!(
                    "{} was answered with {}",
                    request.reply_with, answer.envelope.content
                ));
            }
        }
        tally
    }

    fn note(&mut self, example: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example);
        }
    }

    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.doubled += other.doubled;
        self.wrong += other.wrong;
        self.latencies.extend(other.latencies);
        for example in other.examples {
            self.note(example);
        }
    }

    fn into_outcome(mut self) -> Result<Outcome, Failure> {
        self.latencies.sort_by(f64::total_cmp);
        let lost = self.sent - self.answered;
        let figures = json!({
            "sent": self.sent,
            "answered": self.answered,
            "lost": lost,
            "doubled": self.doubled,
            "wrong": self.wrong,
            "slowest_ms": self.latencies.last().copied().unwrap_or_default(),
            "p99_ms": percentile(&self.latencies, 99),
        });
        if lost + self.doubled + self.wrong == 0 {
            return Ok(Outcome::Changed { output: figures });
        }
        let message = format!(
            "of {} requests, {lost} were not answered, {} twice, {} wrongly: {}",
            self.sent,
            self.doubled,
            self.wrong,
            self.examples.join("; ")
        );
        Err(Failure::midway(
            Cause::new(FailureKind::Expectation, message)
                .with_hint("do the receivers run (`caxton agents list`), and do they answer a request with its content?")
                .with_detail(figures),
        ))
    }
}

/// The nearest-rank percentile of sorted values; 0 if there are none.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Sent, Tally, percentile, request};
    use caxton_model::{AgentName, Envelope, MessageId, Performative};
    use serde_json::{Value, json};
    use tokio::time::Instant;

    fn answer(number: u32, content: Value) -> Answer {
        Answer::now(Envelope {
            id: MessageId::from("m"),
            performative: Performative::Inform,
            sender: AgentName::from("echo"),
            receiver: AgentName::from("client/test"),
            content,
            conversation_id: None,
            reply_with: None,
            in_reply_to: Some(format!("test-{number}")),
            home: None,
            timestamp_ms: 0,
            delivery: caxton_model::Delivery::AtLeastOnce,
            traceparent: None,
        })
    }

    #[test]
    fn each_request_is_accounted_for() {
        let content = |number| request("test", &"client/test".into(), number, &"echo".into()).content;
        let sent: Vec<Sent> = (0..4)
            .map(|number| Sent {
                reply_with: format!("test-{number}"),
                content: content(number),
                at: Instant::now(),
            })
            .collect();
        let answers = [
            answer(0, content(0)),
            answer(1, json!({ "echo": content(1), "count": 7 })),
            answer(1, json!({ "echo": content(1), "count": 8 })),
            answer(2, json!("something else")),
        ];
        let tally = Tally::of(&sent, &answers);
        assert_eq!(
            (tally.sent, tally.answered, tally.doubled, tally.wrong),
            (4, 3, 1, 1)
        );
        assert_eq!(
            tally.examples,
            [
                "test-2 was answered with \"something else\"",
                "test-3 was not answered"
            ]
        );
        assert!(tally.into_outcome().is_err());
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        assert_eq!(percentile(&[], 99), 0.0);
        assert_eq!(percentile(&[5.0], 99), 5.0);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 99), 99.0);
    }
}

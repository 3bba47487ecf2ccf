//! `caxton message send`

use super::DeliveryArg;
use crate::{connect::Connect, exit::Exit, ui::Ui};
use anyhow::Context as _;
use caxton_model::api::SendRequest;
use caxton_model::{AgentName, ConversationId, MessageId, Performative};
use caxton_node::config::HumanDuration;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The longest that one look into the mailbox waits for an answer.
const POLL_WAIT: Duration = Duration::from_secs(2);
/// How many answers to fetch at once.
const PAGE: u32 = 100;

#[derive(clap::Args)]
pub(crate) struct Send {
    /// The agent that shall get it
    #[arg(long)]
    to: String,
    /// What it says, in JSON
    #[arg(long)]
    content: String,
    /// request, inform, query, propose, accept_proposal, reject_proposal, failure or not_understood
    #[arg(long, default_value = "request", value_parser = parse_performative)]
    performative: Performative,
    /// How hard the runtime tries
    #[arg(long, value_enum, default_value = "at-most-once")]
    delivery: DeliveryArg,
    /// The conversation it belongs to
    #[arg(long)]
    conversation_id: Option<String>,
    /// Wait that long for an answer
    #[arg(long)]
    wait: Option<HumanDuration>,
}

impl Send {
    pub(super) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let content: Value = serde_json::from_str(&self.content)
            .with_context(|| format!("the content {} is not JSON; a text needs quotes", self.content))?;
        let id = ulid::Ulid::new().to_string();
        let mailbox = AgentName(format!("client/send-{id}"));
        let request = SendRequest {
            id: Some(MessageId(id.clone())),
            performative: self.performative,
            sender: mailbox.clone(),
            receiver: AgentName(self.to),
            content,
            conversation_id: self.conversation_id.map(ConversationId),
            reply_with: self.wait.map(|_| id.clone()),
            in_reply_to: None,
            delivery: self.delivery.into(),
        };
        let client = connect.client()?;
        let receipt = client.send_message(&request).await?;
        let Some(wait) = self.wait else {
            ui.show(&receipt, |receipt| {
                format!("accepted by {} as {}", receipt.node, receipt.id)
            })?;
            return Ok(Exit::Done);
        };
        // The mailbox is on the node that accepted the message.
        let home = client.node(&receipt.node).await?;
        let deadline = Instant::now() + wait.0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let page = home.mailbox(&mailbox, PAGE, left.min(POLL_WAIT), None).await?;
            let answer = page
                .messages
                .into_iter()
                .find(|message| message.in_reply_to.as_ref() == Some(&id));
            if let Some(answer) = answer {
                home.mailbox(&mailbox, 1, Duration::ZERO, Some(page.cursor))
                    .await?;
                ui.show(&answer, |answer| format!("{}: {}", answer.sender, answer.content))?;
                return Ok(Exit::Done);
            }
            if left.is_zero() {
                ui.show(&json!({ "receipt": receipt, "answer": null }), |_| {
                    format!(
                        "accepted by {} as {}, but no answer came within {wait}",
                        receipt.node, receipt.id
                    )
                })?;
                return Ok(Exit::No);
            }
        }
    }
}

fn parse_performative(text: &str) -> Result<Performative, String> {
    serde_json::from_value(text.replace('-', "_").into())
        .map_err(|_| "it is request, inform, query, propose, accept_proposal, reject_proposal, failure or not_understood".to_owned())
}

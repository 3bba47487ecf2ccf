//! The facts that all nodes agree on.

use caxton_model::{
    AgentName, AgentRecord, AgentSpec, Assignment, CatalogCommand, CatalogReply, Epoch, NodeId, NodeRecord,
    NodeState, Refusal, Version,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The facts that all nodes agree on: nodes, agents with their assignments, configuration.
///
/// It changes in one function, [`Catalog::apply`], which checks each command against the facts as they are
/// when it is applied, not as they were when it was proposed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    revision: u64,
    nodes: BTreeMap<NodeId, NodeRecord>,
    agents: BTreeMap<AgentName, AgentRecord>,
    config: BTreeMap<String, serde_json::Value>,
    /// The highest epoch of any agent that was removed. An agent that is deployed again begins here, so that
    /// a node that still runs the removed one can never hold an epoch that is valid again.
    retired: Epoch,
}

impl Catalog {
    /// Applies a command if the facts allow it, else changes nothing.
    pub fn apply(&mut self, command: &CatalogCommand) -> CatalogReply {
        let applied = match command {
            CatalogCommand::RegisterNode { node } => self.register_node(node),
            CatalogCommand::RemoveNode { node } => self.remove_node(node),
            CatalogCommand::SetNodeState { node, state } => self.set_node_state(node, *state),
            CatalogCommand::SetDesiredVersion { node, version } => self.set_desired_version(node, version),
            CatalogCommand::DeployAgent { spec } => self.deploy_agent(spec),
            CatalogCommand::RemoveAgent { agent } => self.remove_agent(agent),
            CatalogCommand::SuspendAgent { agent, suspended } => self.suspend_agent(agent, *suspended),
            CatalogCommand::Assign { agent, node, seen } => self.assign(agent, node, *seen),
            CatalogCommand::SetConfig { key, value } => self.set_config(key, value),
        };
        match applied {
            Ok(()) => {
                self.revision += 1;
                CatalogReply::Applied {
                    revision: self.revision,
                }
            }
            Err(refusal) => CatalogReply::Refused { refusal },
        }
    }

    /// How many commands were applied; refused ones do not count.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// All nodes that registered and were not removed.
    pub fn nodes(&self) -> &BTreeMap<NodeId, NodeRecord> {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: &NodeId) -> Option<&NodeRecord> {
        self.nodes.get(id)
    }

    /// All agents.
    pub fn agents(&self) -> &BTreeMap<AgentName, AgentRecord> {
        &self.agents
    }

    /// One agent.
    pub fn agent(&self, name: &AgentName) -> Option<&AgentRecord> {
        self.agents.get(name)
    }

    /// The agents that are assigned to a node, in the order of their names.
    pub fn agents_on<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = &'a AgentRecord> {
        self.agents
            .values()
            .filter(move |agent| agent.assignment.node.as_ref() == Some(node))
    }

    /// The cluster's configuration.
    pub fn config(&self) -> &BTreeMap<String, serde_json::Value> {
        &self.config
    }

    /// The SHA-256, as 64 hexadecimal digits, of all facts. Equal facts have equal digests on every node and
    /// in every version that knows the same facts.
    pub fn digest(&self) -> String {
        let mut facts = serde_json::to_value(self).expect("maps with text keys are always JSON");
        facts.sort_all_objects();
        hex::encode(Sha256::digest(facts.to_string().as_bytes()))
    }

    fn register_node(&mut self, node: &NodeRecord) -> Result<(), Refusal> {
        if node.id.as_str().is_empty() {
            return Err(not_allowed("a node needs a name".to_owned()));
        }
        let mut record = node.clone();
        if let Some(known) = self.nodes.get(&node.id) {
            record.state = known.state;
            record.desired_version = known.desired_version.clone();
        }
        self.nodes.insert(record.id.clone(), record);
        Ok(())
    }

    /// Agents of the node lose their assignment, with a new epoch: should the node still be alive, it may run
    /// them no more.
    fn remove_node(&mut self, id: &NodeId) -> Result<(), Refusal> {
        if self.nodes.remove(id).is_none() {
            return Err(Refusal::UnknownNode { node: id.clone() });
        }
        for agent in self.agents.values_mut() {
            if agent.assignment.node.as_ref() == Some(id) {
                agent.assignment = Assignment {
                    node: None,
                    epoch: next(agent.assignment.epoch),
                    previous: Some(id.clone()),
                };
            }
        }
        Ok(())
    }

    fn set_node_state(&mut self, id: &NodeId, state: NodeState) -> Result<(), Refusal> {
        self.known_node(id)?.state = state;
        Ok(())
    }

    fn set_desired_version(&mut self, id: &NodeId, version: &Version) -> Result<(), Refusal> {
        self.known_node(id)?.desired_version = Some(version.clone());
        Ok(())
    }

    /// A known agent keeps its assignment and its suspension: deploying again changes what runs, not where.
    fn deploy_agent(&mut self, spec: &AgentSpec) -> Result<(), Refusal> {
        if spec.name.as_str().is_empty() {
            return Err(not_allowed("an agent needs a name".to_owned()));
        }
        if spec.name.as_str().starts_with("client/") {
            return Err(not_allowed(format!(
                "names that begin with `client/` are mailboxes of clients, so no agent can be called `{}`",
                spec.name
            )));
        }
        if let Some(node) = &spec.placement.node
            && !self.nodes.contains_key(node)
        {
            return Err(Refusal::UnknownNode { node: node.clone() });
        }
        match self.agents.get_mut(&spec.name) {
            Some(known) => known.spec = spec.clone(),
            None => {
                let record = AgentRecord {
                    spec: spec.clone(),
                    suspended: false,
                    assignment: Assignment {
                        node: None,
                        epoch: self.retired,
                        previous: None,
                    },
                };
                self.agents.insert(spec.name.clone(), record);
            }
        }
        Ok(())
    }

    fn remove_agent(&mut self, name: &AgentName) -> Result<(), Refusal> {
        let Some(agent) = self.agents.remove(name) else {
            return Err(Refusal::UnknownAgent { agent: name.clone() });
        };
        self.retired = self.retired.max(agent.assignment.epoch);
        Ok(())
    }

    fn suspend_agent(&mut self, name: &AgentName, suspended: bool) -> Result<(), Refusal> {
        self.known_agent(name)?.suspended = suspended;
        Ok(())
    }

    fn assign(&mut self, name: &AgentName, target: &NodeId, seen: Epoch) -> Result<(), Refusal> {
        let state = self.known_node(target)?.state;
        let agent = self.known_agent(name)?;
        let current = &agent.assignment;
        if current.epoch != seen {
            return Err(Refusal::StaleEpoch {
                current: current.epoch,
            });
        }
        match state {
            NodeState::Active => {}
            NodeState::Draining => {
                return Err(not_allowed(format!("{target} is draining and takes no agents")));
            }
            NodeState::Maintenance => {
                return Err(not_allowed(format!(
                    "{target} is in maintenance and takes no agents"
                )));
            }
        }
        if let Some(only) = &agent.spec.placement.node
            && only != target
        {
            return Err(not_allowed(format!("{name} may run on {only} only")));
        }
        if current.node.as_ref() == Some(target) {
            return Err(not_allowed(format!("{name} is assigned to {target} already")));
        }
        agent.assignment = Assignment {
            node: Some(target.clone()),
            epoch: next(current.epoch),
            previous: current.node.clone().or_else(|| current.previous.clone()),
        };
        Ok(())
    }

    fn set_config(&mut self, key: &str, value: &serde_json::Value) -> Result<(), Refusal> {
        if key.is_empty() {
            return Err(not_allowed("a configuration value needs a name".to_owned()));
        }
        if value.is_null() {
            self.config.remove(key);
        } else {
            self.config.insert(key.to_owned(), value.clone());
        }
        Ok(())
    }

    fn known_node(&mut self, id: &NodeId) -> Result<&mut NodeRecord, Refusal> {
        self.nodes
            .get_mut(id)
            .ok_or_else(|| Refusal::UnknownNode { node: id.clone() })
    }

    fn known_agent(&mut self, name: &AgentName) -> Result<&mut AgentRecord, Refusal> {
        self.agents
            .get_mut(name)
            .ok_or_else(|| Refusal::UnknownAgent { agent: name.clone() })
    }
}

fn next(epoch: Epoch) -> Epoch {
    Epoch(epoch.0 + 1)
}

fn not_allowed(reason: String) -> Refusal {
    Refusal::NotAllowed { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn command(value: serde_json::Value) -> CatalogCommand {
        serde_json::from_value(value).unwrap()
    }

    fn node(id: &str) -> CatalogCommand {
        let record = json!({"id": id, "cluster_addr": format!("{id}:7946"), "api_addr": "", "version": "1"});
        command(json!({"command": "register_node", "node": record}))
    }

    fn deploy(name: &str) -> CatalogCommand {
        command(json!({"command": "deploy_agent", "spec": {"name": name, "module": "00"}}))
    }

    fn assign(agent: &str, node: &str, seen: u64) -> CatalogCommand {
        command(json!({"command": "assign", "agent": agent, "node": node, "seen": seen}))
    }

    fn state(node: &str, state: &str) -> CatalogCommand {
        command(json!({"command": "set_node_state", "node": node, "state": state}))
    }

    /// Applies all but the last, which must be; then the last, which must be refused thus and change nothing.
    #[track_caller]
    fn check(commands: &[CatalogCommand], refusal: Option<serde_json::Value>) -> Catalog {
        let (last, before) = commands.split_last().unwrap();
        let mut catalog = Catalog::default();
        for (index, command) in before.iter().enumerate() {
            let revision = index as u64 + 1;
            assert_eq!(
                catalog.apply(command),
                CatalogReply::Applied { revision },
                "{command:?}"
            );
        }
        let unchanged = catalog.clone();
        let reply = catalog.apply(last);
        match refusal {
            Some(refusal) => {
                let refusal: Refusal = serde_json::from_value(refusal).unwrap();
                assert_eq!(reply, CatalogReply::Refused { refusal });
                assert_eq!(catalog, unchanged);
            }
            None => assert!(matches!(reply, CatalogReply::Applied { .. }), "{reply:?}"),
        }
        catalog
    }

    #[test]
    fn refuses_what_the_facts_do_not_allow() {
        let unknown_node = json!({"refusal": "unknown_node", "node": "b"});
        let unknown_agent = json!({"refusal": "unknown_agent", "agent": "x"});
        let stale = json!({"refusal": "stale_epoch", "current": 1});
        let not_allowed = |reason: &str| json!({"refusal": "not_allowed", "reason": reason});
        check(
            &[node("a"), deploy("x"), assign("x", "b", 0)],
            Some(unknown_node.clone()),
        );
        check(&[node("a"), assign("x", "a", 0)], Some(unknown_agent.clone()));
        check(&[node("a"), state("b", "draining")], Some(unknown_node.clone()));
        check(
            &[command(json!({"command": "remove_agent", "agent": "x"}))],
            Some(unknown_agent),
        );
        check(
            &[node("a"), deploy("x"), assign("x", "a", 0), assign("x", "a", 0)],
            Some(stale),
        );
        check(
            &[node("a"), deploy("x"), assign("x", "a", 0), assign("x", "a", 1)],
            Some(not_allowed("x is assigned to a already")),
        );
        check(
            &[
                node("a"),
                state("a", "draining"),
                deploy("x"),
                assign("x", "a", 0),
            ],
            Some(not_allowed("a is draining and takes no agents")),
        );
        check(
            &[
                node("a"),
                state("a", "maintenance"),
                deploy("x"),
                assign("x", "a", 0),
            ],
            Some(not_allowed("a is in maintenance and takes no agents")),
        );
        let pinned = json!({"name": "x", "module": "00", "placement": {"node": "b"}});
        let pinned = command(json!({"command": "deploy_agent", "spec": pinned}));
        check(&[node("a"), pinned.clone()], Some(unknown_node));
        check(
            &[node("a"), node("b"), pinned, assign("x", "a", 0)],
            Some(not_allowed("x may run on b only")),
        );
        check(
            &[deploy("client/x")],
            Some(not_allowed(
                "names that begin with `client/` are mailboxes of clients, so no agent can be called `client/x`",
            )),
        );
    }

    #[test]
    fn a_known_node_and_a_known_agent_keep_what_others_decided() {
        let catalog = check(&[node("a"), state("a", "draining"), node("a")], None);
        assert_eq!(catalog.node(&"a".into()).unwrap().state, NodeState::Draining);
        let catalog = check(&[node("a"), deploy("x"), assign("x", "a", 0), deploy("x")], None);
        let assignment = &catalog.agent(&"x".into()).unwrap().assignment;
        assert_eq!(
            (assignment.node.clone(), assignment.epoch),
            (Some("a".into()), Epoch(1))
        );
    }

    #[test]
    fn no_epoch_of_a_removed_agent_or_node_becomes_valid_again() {
        let removed = command(json!({"command": "remove_agent", "agent": "x"}));
        let again = [
            node("a"),
            deploy("x"),
            assign("x", "a", 0),
            removed,
            deploy("x"),
            assign("x", "a", 1),
        ];
        let catalog = check(&again, None);
        assert_eq!(catalog.agent(&"x".into()).unwrap().assignment.epoch, Epoch(2));

        let removed = command(json!({"command": "remove_node", "node": "a"}));
        let catalog = check(&[node("a"), deploy("x"), assign("x", "a", 0), removed], None);
        let expected = Assignment {
            node: None,
            epoch: Epoch(2),
            previous: Some("a".into()),
        };
        assert_eq!(catalog.agent(&"x".into()).unwrap().assignment, expected);
    }

    #[test]
    fn a_copy_by_way_of_a_snapshot_is_equal_to_the_digest() {
        let config = json!({"command": "set_config", "key": "limits", "value": {"b": [1, null], "a": "x"}});
        let catalog = check(
            &[node("a"), deploy("x"), assign("x", "a", 0), command(config)],
            None,
        );
        let copy: Catalog = serde_json::from_str(&serde_json::to_string(&catalog).unwrap()).unwrap();
        assert_eq!(copy, catalog);
        assert_eq!(copy.digest(), catalog.digest());
        assert_eq!(catalog.digest().len(), 64);
        assert_ne!(Catalog::default().digest(), catalog.digest());
    }
}

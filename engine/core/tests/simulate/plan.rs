//! Random graphs with every kind of node.

use crate::rng::Rng;
use caxplan_model::{
    ActionCall, ActionStep, Checklist, Duration, Foreach, Graph, Items, Map, Node, NodeIndex, NodeKind,
    OnFailure, Probe, Retry, Rolling, SharedMap, StepId, Undo, Value, Watch, Wording,
};

/// The most nodes of a plan, before its loops are expanded.
const NODES_MAX: u32 = 16;

pub(crate) fn plan(rng: &mut Rng) -> Graph {
    let mut graph = Graph::empty("simulated");
    graph.header.max_parallel = *rng.pick(&[0, 0, 1, 2, 3]);
    graph.header.on_failure = policy(rng).unwrap_or_default();
    let mut maker = Maker {
        budget: 2 + rng.below(NODES_MAX),
        rng,
        nodes: std::mem::take(&mut graph.nodes),
    };
    let mut children = Vec::new();
    while maker.budget > 0 {
        children.push(maker.node(NodeIndex::ROOT, 0));
    }
    maker.nodes[0].kind = if maker.rng.per_mille(200) {
        maker.need_each_other(&children);
        NodeKind::Dag { children, max: 0 }
    } else {
        NodeKind::Sequence { children }
    };
    graph.nodes = maker.nodes;
    graph
}

fn policy(rng: &mut Rng) -> Option<OnFailure> {
    *rng.pick(&[
        None,
        None,
        None,
        None,
        None,
        Some(OnFailure::Stop),
        Some(OnFailure::Rollback),
        Some(OnFailure::Rollback),
        Some(OnFailure::Continue),
        Some(OnFailure::Pause),
    ])
}

struct Maker<'a> {
    rng: &'a mut Rng,
    nodes: Vec<Node>,
    budget: u32,
}

impl Maker<'_> {
    fn node(&mut self, parent: NodeIndex, depth: u32) -> NodeIndex {
        self.budget = self.budget.saturating_sub(1);
        let at = NodeIndex(u32::try_from(self.nodes.len()).expect("few"));
        let mut node = Node::new(
            StepId::new(format!("n{}", at.0)),
            Some(parent),
            NodeKind::Sequence { children: Vec::new() },
        );
        if self.rng.per_mille(120) {
            node.when = Some("when".into());
        }
        if self.rng.per_mille(250) {
            node.on_failure = policy(self.rng);
        }
        if self.rng.per_mille(150) {
            node.checkpoint = Some(Box::new(format!("c{}", at.0).as_str().into()));
        }
        self.nodes.push(node);
        let kind = if depth < 4 && self.rng.per_mille(450) {
            self.group(at, depth)
        } else {
            self.leaf()
        };
        let node = &mut self.nodes[at.index()];
        if matches!(kind, NodeKind::Sequence { .. } | NodeKind::Dag { .. }) && self.rng.per_mille(250) {
            // Long enough for anything in it, if nobody is in the way.
            node.timeout = Some(Duration::from_secs(u64::from(60 + self.rng.below(60))));
        }
        if !kind.is_leaf() && self.rng.per_mille(150) {
            node.undo = Box::new([call()]);
        }
        node.kind = kind;
        at
    }

    /// Each of some siblings may need some of those before it.
    fn need_each_other(&mut self, children: &[NodeIndex]) {
        for (position, child) in children.iter().enumerate() {
            let needed = |_: &&NodeIndex| self.rng.per_mille(400);
            let needs = children[..position].iter().filter(needed).copied().collect();
            self.nodes[child.index()].needs = needs;
        }
    }

    fn children(&mut self, parent: NodeIndex, depth: u32) -> Vec<NodeIndex> {
        let count = self.rng.below(4);
        (0..count).map(|_| self.node(parent, depth + 1)).collect()
    }

    fn group(&mut self, at: NodeIndex, depth: u32) -> NodeKind {
        match self.rng.below(6) {
            0 => NodeKind::Sequence {
                children: self.children(at, depth),
            },
            1 => NodeKind::Parallel {
                children: self.children(at, depth),
                max: self.rng.below(3),
            },
            2 => {
                let children = self.children(at, depth);
                self.need_each_other(&children);
                NodeKind::Dag {
                    children,
                    max: self.rng.below(3),
                }
            }
            3 => {
                let children = self.children(at, depth);
                let size = 1 + self.rng.below(2) as usize;
                NodeKind::Rolling(Rolling {
                    batches: children.chunks(size).map(<[NodeIndex]>::to_vec).collect(),
                    delay: self.delay(),
                    max_failures: self.rng.below(2),
                    max_unavailable: *self.rng.pick(&[None, None, Some(1)]),
                })
            }
            4 => self.foreach(),
            _ => {
                let body = self.part(at, depth);
                let rescue = self.rng.per_mille(600).then(|| self.part(at, depth));
                let always = self.rng.per_mille(600).then(|| self.part(at, depth));
                NodeKind::Block { body, rescue, always }
            }
        }
    }

    /// A sequence, as the parts of a block are.
    fn part(&mut self, parent: NodeIndex, depth: u32) -> NodeIndex {
        let at = NodeIndex(u32::try_from(self.nodes.len()).expect("few"));
        let id = StepId::new(format!("n{}", at.0));
        let children = Vec::new();
        self.nodes
            .push(Node::new(id, Some(parent), NodeKind::Sequence { children }));
        let mut children = vec![self.node(at, depth + 1)];
        children.extend((0..self.rng.below(2)).map(|_| self.node(at, depth + 1)));
        self.nodes[at.index()].kind = NodeKind::Sequence { children };
        at
    }

    fn foreach(&mut self) -> NodeKind {
        let steps = 1 + self.rng.below(2);
        let mut body = vec![Node::new(
            StepId::new(""),
            None,
            NodeKind::Sequence {
                children: (1..=steps).map(NodeIndex).collect(),
            },
        )];
        for step in 1..=steps {
            let kind = self.leaf();
            body.push(Node::new(
                StepId::new(format!("s{step}")),
                Some(NodeIndex(0)),
                kind,
            ));
        }
        let items = if self.rng.per_mille(300) {
            Items::Known((0..self.rng.below(4)).map(Value::from).collect())
        } else {
            Items::Template("items".to_owned())
        };
        NodeKind::Foreach(Box::new(Foreach {
            var: "item".to_owned(),
            items,
            batch_size: (*self.rng.pick(&["1", "2", "50%"])).to_owned(),
            delay: self.delay(),
            max_failures: self.rng.below(2),
            max_unavailable: None,
            when: self.rng.per_mille(200).then(|| "when".to_owned()),
            params: Map::new(),
            vars: Map::new(),
            late_vars: Vec::new(),
            body,
        }))
    }

    fn delay(&mut self) -> Option<String> {
        let delay = *self
            .rng
            .pick(&[None, Some("0"), Some("2s"), Some("{{ duration }}")]);
        delay.map(str::to_owned)
    }

    fn duration(&mut self) -> String {
        (*self.rng.pick(&["0", "1s", "5s", "{{ duration }}"])).to_owned()
    }

    fn leaf(&mut self) -> NodeKind {
        match self.rng.below(20) {
            0 => NodeKind::Wait {
                duration: self.duration(),
            },
            1 => NodeKind::Watch(Box::new(Watch {
                duration: self.duration(),
                every: (*self.rng.pick(&["1s", "{{ duration }}"])).to_owned(),
                observe: call(),
                target: None,
                checks: vec!["ok".to_owned()],
                max_breaches: self.rng.below(2),
                outside: 0,
            })),
            2 => NodeKind::Approve {
                question: Wording::Known("Go on?".to_owned()),
            },
            3 => NodeKind::Checklist(Checklist {
                items: vec![Wording::Late {
                    template: "{{ done }}".to_owned(),
                }],
            }),
            _ => NodeKind::Action(self.action()),
        }
    }

    fn action(&mut self) -> ActionStep {
        let explicit = self.rng.per_mille(200);
        ActionStep {
            call: call(),
            target: None,
            retry: Some(Box::new(Retry {
                attempts: 1 + self.rng.below(3),
                jitter: self.rng.per_mille(500),
                initial: Duration::from_secs(u64::from(self.rng.below(3))),
                ..Retry::default()
            })),
            timeout: None,
            expect: Vec::new(),
            probe: explicit.then(|| {
                Box::new(Probe {
                    call: call(),
                    done_when: None,
                })
            }),
            undo: match self.rng.below(6) {
                0 => Undo::NotNeeded,
                1 => Undo::Impossible,
                2 | 3 => Undo::Calls(vec![call()]),
                _ => Undo::Native,
            },
            idempotent: self.rng.per_mille(350),
            read_only: self.rng.per_mille(150),
            probes: self.rng.per_mille(300),
            records_before: self.rng.per_mille(300),
            availability: 0,
        }
    }
}

fn call() -> ActionCall {
    ActionCall {
        action: "noop.run".into(),
        with: SharedMap::default(),
    }
}

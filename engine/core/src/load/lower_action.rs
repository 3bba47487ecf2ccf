//! From actions and watches as they are written to those of the graph.

use super::bind;
use super::call::Call;
use super::lower::{DEPTH_MAX, Lowering, Place};
use super::names::{Use, View};
use super::options::Options;
use super::request::Label;
use super::step::{Body, Step, WatchSpec};
use super::yaml::Spanned;
use caxplan_model::{ActionCall, ActionSpec, ActionStep, Probe, Retry, ShortText, Undo, UndoSupport, Watch};

impl Lowering<'_, '_> {
    pub(super) fn action(
        &mut self,
        call: &Call,
        options: &Options,
        name: Option<&str>,
        place: &Place,
    ) -> Option<ActionStep> {
        let spec = self.actions.get(&call.action.value)?;
        let mut view = place.view.clone();
        if let Some(target) = &options.target {
            self.names
                .check_text(&target.value, target.span, Use::Run, &view, self.report);
            view.target = true;
        }
        let bound = self.call(call, &view)?;
        let read_only = spec.only_reads(&bound.with);
        // What is said about the step's end sees its own result.
        let mark = self.names.ended.mark();
        if let Some(name) = name {
            self.names.ended.push(name.into());
        }
        for check in &options.expect {
            self.names.check_condition(check, Use::Output, &view, self.report);
        }
        let probe = options.probe.as_ref().and_then(|probe| self.probe(probe, &view));
        let probe = probe.map(Box::new);
        let undo = self.undo(options, spec, read_only, &view);
        self.names.ended.back_to(mark);
        let library = place.library.and_then(|at| self.library.defaults.get(at));
        let retry = options
            .retry
            .as_deref()
            .or_else(|| library.and_then(|defaults| defaults.retry.as_ref()))
            .or(self.defaults.retry.as_ref());
        let timeout = options
            .timeout
            .or_else(|| library.and_then(|defaults| defaults.timeout))
            .or(self.defaults.timeout)
            .or(spec.default_timeout);
        Some(ActionStep {
            call: bound,
            target: self.target(options, place),
            retry: retry
                .filter(|retry| **retry != Retry::default())
                .cloned()
                .map(Box::new),
            timeout,
            expect: options
                .expect
                .iter()
                .map(|check| check.value.to_string())
                .collect(),
            probe,
            undo,
            idempotent: spec.idempotent || read_only,
            read_only,
            probes: spec.probes,
            records_before: spec.records_before,
            availability: options.availability.unwrap_or(spec.availability),
        })
    }

    fn target(&self, options: &Options, place: &Place) -> Option<ShortText> {
        match &options.target {
            Some(target) => Some(target.value.clone()),
            None => place.acts_on_target.then(|| "{{ target.name }}".into()),
        }
    }

    /// Follows and checks a call.
    pub(super) fn call(&mut self, call: &Call, view: &View) -> Option<ActionCall> {
        let call = bind::resolve(call, &self.actions, self.library, self.report)?;
        bind::bind(
            &call,
            &self.arguments,
            view,
            &mut self.actions,
            &mut self.names,
            self.report,
        )
    }

    /// A call of an action that only reads.
    pub(super) fn reading_call(&mut self, call: &Call, what: &str, view: &View) -> Option<ActionCall> {
        self.refuse_options(call, what);
        let bound = self.call(call, view)?;
        if let Some(spec) = self.actions.get(&bound.action)
            && !spec.only_reads(&bound.with)
        {
            let message = format!(
                "{what} must only read, and `{}` may change something",
                bound.action
            );
            let help = spec.changes_argument.as_ref();
            self.report.error("not-read-only", call.action.span, message).help =
                help.map(|argument| format!("if this call only reads, say so: `{argument}: false`"));
        }
        Some(bound)
    }

    /// Refuses names whose entries say more than the action and its arguments: nothing of that would have an effect here.
    fn refuse_options(&mut self, call: &Call, what: &str) {
        let mut name = &call.action.value;
        for _ in 0..DEPTH_MAX {
            let Some((step, _)) = self
                .library
                .actions
                .get(name.as_str())
                .filter(|_| self.actions.get(name).is_none())
            else {
                return;
            };
            let said = step.options.said();
            if !said.is_empty() {
                let message = format!(
                    "`{name}` says {}, which has no effect on {what}",
                    said.iter()
                        .map(|key| format!("`{key}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                );
                let error = self.report.error("no-effect", call.action.span, message);
                error.others.push(Label {
                    span: step.span,
                    text: "bound here".to_owned(),
                });
                error.help = Some(
                    "bind another name for it, with the action and its arguments alone; a look ends after 60s, or when its action says"
                        .to_owned(),
                );
                return;
            }
            let Body::Call(next) = &step.body else { return };
            name = &next.action.value;
        }
    }

    fn probe(&mut self, probe: &Call, view: &View) -> Option<Probe> {
        if let Some(done) = &probe.done_when {
            self.names.check_condition(done, Use::Output, view, self.report);
        }
        Some(Probe {
            call: self.reading_call(probe, "a probe", view)?,
            done_when: probe.done_when.as_ref().map(|done| done.value.to_string()),
        })
    }

    fn undo(&mut self, options: &Options, spec: &ActionSpec, read_only: bool, view: &View) -> Undo {
        match &options.rollback {
            Some(calls) if calls.is_empty() => Undo::NotNeeded,
            Some(calls) => Undo::Calls(calls.iter().filter_map(|call| self.call(call, view)).collect()),
            None => match spec.undo {
                UndoSupport::NotNeeded => Undo::NotNeeded,
                UndoSupport::Native => Undo::Native,
                UndoSupport::Impossible if read_only => Undo::NotNeeded,
                UndoSupport::Impossible => Undo::Impossible,
            },
        }
    }

    pub(super) fn watch(
        &mut self,
        watch: &WatchSpec,
        options: &Options,
        place: &Place,
        step: &Step,
    ) -> Option<Watch> {
        let library = place.library.and_then(|at| self.library.defaults.get(at));
        let observe = watch
            .observe
            .clone()
            .or_else(|| library.and_then(|defaults| defaults.observe.clone()))
            .or_else(|| self.defaults.observe.clone())
            .or_else(|| {
                self.library
                    .defaults
                    .iter()
                    .rev()
                    .find_map(|defaults| defaults.observe.clone())
            });
        if watch.checks.is_empty() {
            self.report
                .error("missing-key", watch.duration.span, "a watch needs `checks`");
        }
        for check in &watch.checks {
            self.names
                .check_condition(check, Use::Observation, &place.view, self.report);
        }
        if let Some(target) = &options.target {
            self.names
                .check_text(&target.value, target.span, Use::Run, &place.view, self.report);
        }
        let duration = self.duration(&watch.duration, place);
        let every = match &watch.every {
            Some(every) => self.duration(every, place),
            None => "30s".to_owned(),
        };
        let Some(observe) = observe else {
            self.report
                .error(
                    "missing-key",
                    step.span,
                    "a watch needs `observe`: what its checks look at",
                )
                .help = Some(
                "write `observe: {adapter.action: {…}}` in the watch, or once for all watches in `defaults`"
                    .to_owned(),
            );
            return None;
        };
        Some(Watch {
            duration,
            every,
            observe: self.reading_call(&observe, "what a watch observes", &place.view)?,
            target: self.target(options, place).map(String::from),
            checks: watch.checks.iter().map(|check| check.value.to_string()).collect(),
            max_breaches: watch.max_breaches,
            outside: 0,
        })
    }

    /// A duration that the run may evaluate.
    pub(super) fn duration(&mut self, text: &Spanned<ShortText>, place: &Place) -> String {
        self.names
            .check_text(&text.value, text.span, Use::Run, &place.view, self.report);
        self.settler.duration(text, self.report)
    }
}

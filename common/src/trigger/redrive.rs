//! Dead letters once more: each enters its chain, as a new invocation, at the
//! function that failed, without what the failure added to it.

use super::RunStart;
use crate::chain::condition::Conditions;
use crate::chain::route;
use crate::event::{Control, Event, Verdict};
use crate::invoker::watchdog::Watch;
use crate::queue::Port;

/// Why a letter cannot be sent again, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) cure: String,
}

impl RunStart {
    /// What a letter becomes: messages to the function that failed, or, when
    /// it was an output that no rule took, along that function's rules.
    pub(super) fn redrive(
        &self,
        letter: Event,
        control: &Control,
    ) -> Result<Vec<(Port, Event)>, Refusal> {
        let refuse = |reason: String, cure: &str| Err(Refusal { reason, cure: cure.to_owned() });
        let reason = letter.text("faasreason").unwrap_or_default().to_owned();
        let Some(name) = letter.text("faasfunction").map(str::to_owned) else {
            return refuse("it is no dead letter: it names no function".into(), "feed it as input");
        };
        if name == "@trigger" {
            return refuse("it never was an event".into(), "mend the line, and feed it as input");
        }
        let Some(function) = self.chain.find(&name) else {
            let reason = format!("chain {} has no function {name}", self.chain.name);
            return refuse(reason, "the chain file it comes from");
        };
        // Only an input that failed has had attempts.
        let is_output = (reason == "no rule" || reason.starts_with("condition: "))
            && !letter.extensions.contains_key("faasattempts");
        let is_join = self.chain.functions[function].join.is_some();
        let own = |join: &&usize| **join != function || (is_join && reason.starts_with("join: "));
        let ahead = self.scopes.ahead(function).iter().find(own);
        if let Some(join) = ahead {
            let join = &self.chain.functions[*join].name;
            let reason = format!("the join {join} is ahead, and its other parts are gone");
            return refuse(reason, "feed the original input");
        }
        let event = super::stripped(letter);
        if is_output {
            return Ok(self.route_again(function, event, control));
        }
        let mut control = control.clone();
        control.gathered = is_join;
        Ok(self.addressed(self.router().start(&event, &control, &[function])))
    }

    /// An output goes along its function's rules, without another run of it.
    fn route_again(&self, function: usize, output: Event, control: &Control) -> Vec<(Port, Event)> {
        let rules = self.chain.rules_on(function, false);
        let watch = Watch::start(None);
        let holds = Conditions::of(&self.chain).judge(&rules, &output, Watch::rule);
        drop(watch);
        let branches = route::branches(&rules, &holds.map_err(|error| error.to_string()), &[]);
        let mut parent = output.clone();
        parent.control = Some(Box::new(control.clone()));
        self.addressed(self.router().emit(function, &parent, vec![(output, branches)]))
    }
}

/// A letter that cannot be sent again, kept as it is among the run's own.
pub(super) fn kept(letter: Event, control: Control) -> Event {
    let verdict = Some(Verdict::Dead);
    Event { control: Some(Box::new(Control { verdict, ..control })), ..letter }
}

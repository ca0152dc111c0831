//! The log of an agent's tool calls: what it did, why, within which budget, and never twice.

#![forbid(unsafe_code)]

use std::io::Write;

use factlog::{
    Event, Journal, NewEvent, Query, Uuid,
    typed::{DecideError, Decider, TypedEvent},
};
use serde::{Deserialize, Serialize};

type Done = Result<(), Box<dyn std::error::Error>>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
enum Step {
    #[event(kind = "task.begun")]
    Begun { goal: String, budget: u32 },
    #[event(kind = "tool.called")]
    Called {
        #[event(tag)]
        tool: String,
        input: String,
        cost: u32,
    },
    #[event(kind = "tool.answered")]
    Answered { output: String },
}

/// What an agent may still do.
#[derive(Clone, Debug, Default)]
struct Task {
    left: u32,
    waiting: bool,
}

impl Decider for Task {
    const SCOPE: &'static str = "agents";
    type Event = Step;
    type Command = Step;
    type Refusal = String;

    fn evolve(&mut self, step: Step) {
        match step {
            Step::Begun { budget, .. } => self.left = budget,
            Step::Called { cost, .. } => {
                self.left -= cost;
                self.waiting = true;
            }
            Step::Answered { .. } => self.waiting = false,
        }
    }

    fn decide(&self, step: &Step) -> Result<Vec<Step>, String> {
        match step {
            Step::Called { .. } if self.waiting => Err("a call is under way".to_owned()),
            Step::Called { tool, cost, .. } if *cost > self.left => {
                Err(format!("{tool} costs {cost}, and {} is left", self.left))
            }
            Step::Answered { .. } if !self.waiting => Err("no call is under way".to_owned()),
            step => Ok(vec![step.clone()]),
        }
    }
}

/// Records a step once, whatever is retried; its number names it.
fn record(
    journal: &Journal,
    task: Uuid,
    number: u32,
    because_of: Option<Uuid>,
    step: Step,
) -> Result<Option<(Uuid, bool)>, DecideError<String>> {
    let decision = journal.stream::<Task>("agent-1").key(number.to_le_bytes());
    let decision = decision.each(move |event: NewEvent<'static>| {
        let event = event.actor("agent-1").correlation(task);
        match because_of {
            Some(id) => event.causation(id),
            None => event,
        }
    });
    let receipts = decision.decide(step)?.receipts;
    let receipt = receipts.and_then(|receipts| receipts.receipt(0));
    Ok(receipt.map(|receipt| (receipt.event_id(), receipt.already())))
}

fn call(tool: &str, input: &str, cost: u32) -> Step {
    Step::Called {
        tool: tool.to_owned(),
        input: input.to_owned(),
        cost,
    }
}

/// What the agent did, in order, with why.
fn trail(journal: &Journal, out: &mut dyn Write) -> Done {
    for event in journal.reader().read(Query::stream("agents", "agent-1")) {
        let event = event?;
        let cause = event.facts().and_then(|facts| facts.causation);
        let cause = cause.map(Uuid::from_bytes);
        let cause = cause.map(|id| journal.reader().get_by_id(id)).transpose()?;
        let because = match cause.flatten() {
            Some(cause) => format!(" (because of {})", cause.revision()),
            None => String::new(),
        };
        let said = match Step::read(&event)?.known().ok_or("it can't be read")? {
            Step::Begun { goal, budget } => format!("{goal}, for at most {budget}"),
            Step::Called { tool, input, cost } => format!("{tool}({input}) for {cost}"),
            Step::Answered { output } => output,
        };
        writeln!(out, "{}: {said}{because}", event.revision())?;
    }
    Ok(())
}

pub(crate) fn run(out: &mut dyn Write) -> Done {
    let journal = Journal::in_memory()?;
    let task = Uuid::from_u128(1);
    let goal = Step::Begun {
        goal: "find the cheapest flight".to_owned(),
        budget: 10,
    };
    let begun = record(&journal, task, 0, None, goal)?.map(|(id, _)| id);
    let searched = record(&journal, task, 1, begun, call("search", "ZRH-OSL", 4))?;
    // The network failed before the agent heard that it was recorded, so it says it again.
    let again = record(&journal, task, 1, begun, call("search", "ZRH-OSL", 4))?;
    if let (Some((first, _)), Some((second, already))) = (searched, again) {
        writeln!(
            out,
            "one call: {}, recorded before: {already}",
            first == second
        )?;
    }
    match record(&journal, task, 1, begun, call("buy", "LX1210", 4)) {
        Err(why) => writeln!(out, "another call under its number: {}", code(&why))?,
        Ok(_) => return Err("two calls must not have one number".into()),
    }
    let output = "LX1210 for 89".to_owned();
    let because = searched.map(|(id, _)| id);
    record(&journal, task, 2, because, Step::Answered { output })?;
    match record(&journal, task, 3, because, call("buy", "LX1210", 89)) {
        Err(why) => writeln!(out, "{why}")?,
        Ok(_) => return Err("the budget must hold".into()),
    }
    trail(&journal, out)
}

fn code(error: &DecideError<String>) -> &str {
    match error {
        DecideError::Journal(error) => error.code(),
        _ => "refused",
    }
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Done {
    run(&mut std::io::stdout())
}

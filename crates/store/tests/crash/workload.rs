//! What is done to a journal before it crashes, from a seed.

use factlog::{Encoding, Expect, NewEvent, Uuid};
use factlog_sim::Rng;

/// One thing that a user of a journal does.
#[derive(Clone, Debug)]
pub enum Step {
    /// A batch; one event is a single append.
    Append(Vec<Plan>),
    /// The batch of an earlier, acknowledged append again, by its place among them.
    Repeat(u64),
    /// An append whose expectation fails.
    Conflict,
    /// What the housekeeper does when the journal is idle.
    Housekeep,
    /// Closes and opens.
    Reopen,
    /// Drops without a close and opens: the process died, the machine didn't.
    Abandon,
    /// The clock jumps.
    Clock(i64),
}

/// An event to be.
#[derive(Clone, Debug)]
pub struct Plan {
    entity: u64,
    len: usize,
    /// Also what its bytes are made from.
    number: u64,
    own_id: bool,
    expect: Expect,
}

impl Plan {
    /// A small event that any journal takes.
    pub fn small(number: u64) -> Self {
        Self {
            entity: 0,
            len: 40,
            number,
            own_id: true,
            expect: Expect::Any,
        }
    }

    pub fn own_id(&self) -> bool {
        self.own_id
    }

    pub fn event(&self) -> NewEvent<'static> {
        let mut bytes = vec![0; self.len];
        Rng::new(self.number).fill(&mut bytes);
        let event = NewEvent::new("bank", format!("account-{}", self.entity), "account.noted")
            .data(Encoding::Raw, bytes)
            .expect(self.expect);
        if self.own_id {
            event.id(Uuid::from_u128(u128::from(self.number) << 64 | 7))
        } else {
            event
        }
    }
}

/// A run to be.
#[derive(Clone, Debug)]
pub struct Workload {
    pub seed: u64,
    pub steps: Vec<Step>,
}

impl Workload {
    /// The workload of a seed: reuse of few streams, sizes around pages and segments, and a
    /// reopening every now and then.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        // Every third journal has events so large that it rolls.
        let large = seed.is_multiple_of(3);
        let count = 6 + rng.below(7);
        let mut steps = Vec::new();
        for at in 0..count {
            let step = match rng.below(20) {
                0..=8 => Step::Append(vec![plan(&mut rng, large)]),
                9..=12 => {
                    let count = 2 + rng.below(4);
                    Step::Append((0..count).map(|_| plan(&mut rng, large)).collect())
                }
                13..=14 => Step::Housekeep,
                15 if at > 0 => Step::Repeat(rng.next_u64()),
                16 => Step::Conflict,
                17 => Step::Reopen,
                18 => Step::Abandon,
                _ => Step::Clock(if rng.chance(50) {
                    5_000_000
                } else {
                    -3_000_000
                }),
            };
            steps.push(step);
        }
        Self { seed, steps }
    }

    /// The same steps and then others.
    pub fn of_steps(seed: u64, steps: Vec<Step>) -> Self {
        Self { seed, steps }
    }
}

/// An event of a workload; its number is unlike any other of any workload.
pub fn plan(rng: &mut Rng, large: bool) -> Plan {
    let sizes: &[u64] = if large {
        &[100, 16_000, 24_000, 33_000]
    } else {
        &[0, 1, 40, 300, 512, 3_700, 4_096]
    };
    let base = rng.pick(sizes).copied().unwrap_or(40);
    Plan {
        entity: rng.below(3),
        len: (base + rng.below(9)) as usize,
        number: rng.next_u64(),
        own_id: rng.chance(50),
        expect: Expect::Any,
    }
}

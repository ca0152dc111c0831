//! What is done to a journal before it crashes, from a seed or one of all short ones.

use factlog::{Encoding, Expect, JournalId, NewEvent, Uuid};
use factlog_format::{CommitHeader, CrcSeed, GroupKey};
use factlog_sim::Rng;

/// One thing that a user of a journal does.
#[derive(Clone, Debug)]
pub enum Step {
    /// A batch; one event is a single append.
    Append(Vec<Plan>),
    /// An append of such a size that the written end of the segment comes to lie so many bytes
    /// beyond the next multiple.
    Fill { multiple: u64, beyond: i64 },
    /// The batch of an earlier, acknowledged append again, by its place among them.
    Repeat(u64),
    /// An append of a payload that poses as a commit header.
    Pose,
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
    /// Segments are compacted.
    Compact,
    /// All but the last event of each stream lose their payloads.
    Retain,
    /// They lose all but their spines.
    RetainFully,
    /// All users' events lose all but their spines, so that their streams end.
    Forget,
    /// An event with the id of the first that lost it, and another payload.
    BringBack,
}

/// An event to be.
#[derive(Clone, Debug)]
pub struct Plan {
    entity: u64,
    pub len: usize,
    /// Also what its bytes are made from.
    number: u64,
    own_id: bool,
    /// Whether it was there before, with another payload.
    back: bool,
    /// The journal as one of whose commit headers the payload poses.
    poses: Option<JournalId>,
    /// The boundary that it belongs to: a tag, and a condition that nothing else came to have it meanwhile.
    pub boundary: Option<u64>,
    /// Whether it is to say which revision comes before it.
    pub exact: bool,
    pub expect: Expect,
}

impl Plan {
    /// A small event that any journal takes.
    pub fn small(number: u64) -> Self {
        Self::sized(number, 40)
    }

    pub fn sized(number: u64, len: usize) -> Self {
        Self {
            entity: 0,
            len,
            number,
            own_id: true,
            back: false,
            poses: None,
            boundary: None,
            exact: false,
            expect: Expect::Any,
        }
    }

    /// One whose payload says, as a commit header would, that more events are durable than there are.
    pub fn posing(number: u64, journal: JournalId) -> Self {
        Self {
            poses: Some(journal),
            ..Self::small(number)
        }
    }

    /// One of the same id, when that is free again.
    pub fn brought_back(&self) -> Self {
        Self {
            back: true,
            exact: false,
            expect: Expect::Any,
            ..self.clone()
        }
    }

    /// Its id, if it brings one.
    pub fn id(&self) -> Option<Uuid> {
        let id = Uuid::from_u128(u128::from(self.number) << 64 | 7);
        self.own_id.then_some(id)
    }

    pub fn entity(&self) -> String {
        format!("account-{}", self.entity)
    }

    pub fn payload(&self) -> Vec<u8> {
        if let Some(journal) = &self.poses {
            return commit_headers(journal);
        }
        let mut bytes = vec![0; self.len];
        Rng::new(self.number ^ u64::from(self.back) << 63).fill(&mut bytes);
        bytes
    }

    pub fn tag(&self) -> Option<String> {
        self.boundary.map(tag_of)
    }

    pub fn event(&self) -> NewEvent<'static> {
        let mut event = NewEvent::new(super::SCOPE, self.entity(), "account.noted")
            .data(Encoding::Raw, self.payload())
            .expect(self.expect);
        if let Some(tag) = self.tag() {
            event = event.tag(tag);
        }
        match self.id() {
            Some(id) => event.id(id),
            None => event,
        }
    }
}

/// Frames of a commit header with all that a payload's author can know, one for each place at which
/// the payload may begin between two multiples of the alignment.
fn commit_headers(journal: &JournalId) -> Vec<u8> {
    let header = CommitHeader {
        number: 9,
        incarnation: 1,
        count: 0,
        first_sequence: 1 << 40,
        frames_len: 0,
        durable: 1 << 40,
        raw_clock: 0,
        root: [0; 32],
        signatures: Vec::new(),
        frames_check: [0; 16],
    };
    let key = GroupKey::derive(&[0; 16], journal, 0, 0);
    let mut bytes = Vec::new();
    // At every alignment that a payload may have.
    for shift in 0..8 {
        bytes.resize(bytes.len() + usize::from(shift > 0), 0);
        let written = header.write(CrcSeed::of(journal), &key, &mut bytes);
        written.expect("its fields don't contradict each other");
    }
    bytes.push(0);
    bytes
}

/// A run to be.
#[derive(Clone, Debug)]
pub struct Workload {
    pub seed: u64,
    pub steps: Vec<Step>,
}

/// What the workloads of a seed have most of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Small,
    /// Events so large that it rolls.
    Large,
    /// Ends at sectors, pages and the segment's end.
    Boundaries,
}

const SEGMENT: u64 = super::lab::SEGMENT_LEN;

impl Workload {
    /// The workload of a seed: few streams used again and again, sizes around every boundary
    /// there is, and a reopening every now and then.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let shape = [Shape::Large, Shape::Small, Shape::Boundaries][(seed % 3) as usize];
        let count = 4 + rng.below(6);
        let steps = (0..count).map(|at| step(&mut rng, shape, at)).collect();
        Self { seed, steps }
    }

    /// Every workload of up to this many steps from a small alphabet.
    pub fn all_up_to(most: usize) -> Vec<Self> {
        let mut all: Vec<Vec<usize>> = vec![vec![]];
        let mut from = 0;
        for _ in 0..most {
            let upto = all.len();
            for at in from..upto {
                for letter in 0..LETTERS {
                    let mut longer = all[at].clone();
                    longer.push(letter);
                    all.push(longer);
                }
            }
            from = upto;
        }
        let workload = |letters: Vec<usize>| Self {
            seed: letters
                .iter()
                .fold(7, |sum, letter| sum * 8 + *letter as u64),
            steps: (1..)
                .zip(letters)
                .map(|(at, letter)| spelled(letter, at))
                .collect(),
        };
        all.into_iter().skip(1).map(workload).collect()
    }

    /// The first letter of a short workload.
    pub fn letter(&self) -> usize {
        let mut seed = self.seed;
        while seed >= 7 * 8 + 8 {
            seed /= 8;
        }
        (seed % 8) as usize
    }

    /// One with a payload that poses as a commit header.
    pub fn posing() -> Self {
        let small = Step::Append(vec![Plan::small(1)]);
        Self::of_steps(90, vec![small, Step::Pose, Step::Housekeep])
    }

    /// One whose second step begins a segment.
    pub fn rolling() -> Self {
        let large = |number| Step::Append(vec![Plan::sized(number, 40_000)]);
        Self::of_steps(91, vec![large(1), large(2)])
    }

    /// One with a close between two sessions.
    pub fn closed_between() -> Self {
        let small = |number| Step::Append(vec![Plan::small(number)]);
        Self::of_steps(
            92,
            vec![small(1), Step::Reopen, small(2), small(3), Step::Reopen],
        )
    }

    /// One that compacts: small segments that sessions which died leave, with what they set aside.
    pub fn compacting() -> Self {
        let small =
            |number| Step::Append(vec![Plan::small(number), Plan::sized(number + 100, 300)]);
        let dying = |number| [small(number), Step::Abandon];
        let mut steps: Vec<Step> = (1..4).flat_map(dying).collect();
        steps.extend([small(4), Step::Compact, small(5), Step::Reopen]);
        Self::of_steps(93, steps)
    }

    /// One that erases: in the segment being written, in those that sessions which died left, and in one that
    /// was erased from before.
    pub fn retaining() -> Self {
        let small =
            |number| Step::Append(vec![Plan::small(number), Plan::sized(number + 100, 300)]);
        let dying = |number| [small(number), Step::Abandon];
        let mut steps: Vec<Step> = (1..3).flat_map(dying).collect();
        steps.extend([small(3), Step::Retain, small(4), Step::Abandon]);
        steps.extend([small(5), Step::Retain, Step::Compact, Step::Reopen]);
        Self::of_steps(94, steps)
    }

    /// One that erases in full: what stands before others in its stream, a whole stream, and what was erased
    /// in part before; and in which ids and streams that were given up are used again.
    pub fn forgetting() -> Self {
        let small =
            |number| Step::Append(vec![Plan::small(number), Plan::sized(number + 100, 300)]);
        let mut steps = vec![small(1), Step::Abandon, small(2), Step::RetainFully];
        steps.extend([
            Step::BringBack,
            small(3),
            Step::Abandon,
            small(4),
            Step::Retain,
        ]);
        steps.extend([Step::Forget, small(5), Step::BringBack, Step::Reopen]);
        Self::of_steps(95, steps)
    }

    /// These steps.
    pub fn of_steps(seed: u64, steps: Vec<Step>) -> Self {
        Self { seed, steps }
    }
}

/// How many boundaries events may belong to.
pub const BOUNDARIES: u64 = 2;

/// The tag of the events of a boundary.
pub fn tag_of(boundary: u64) -> String {
    format!("course:{boundary}")
}

/// How many letters the alphabet of short workloads has.
pub const LETTERS: usize = 6;

fn spelled(letter: usize, at: u64) -> Step {
    match letter {
        0 => Step::Append(vec![Plan::small(at)]),
        1 => Step::Append((0..3).map(|n| Plan::sized(16 * at + n, 300)).collect()),
        2 => Step::Fill {
            multiple: 4096,
            beyond: 0,
        },
        3 => Step::Housekeep,
        4 => Step::Reopen,
        _ => Step::Abandon,
    }
}

fn step(rng: &mut Rng, shape: Shape, at: u64) -> Step {
    match rng.below(20) {
        0..=3 if shape == Shape::Boundaries => {
            let multiples = [512, 512, 4096, 4096, SEGMENT];
            // A multiple of the alignment apart, since every end is aligned.
            let beyond = [-8, 0, 0, 8, -440, 200];
            Step::Fill {
                multiple: *rng.pick(&multiples).unwrap_or(&512),
                beyond: *rng.pick(&beyond).unwrap_or(&0),
            }
        }
        0..=8 => Step::Append(vec![plan(rng, shape == Shape::Large)]),
        9..=11 => {
            let count = 2 + rng.below(4);
            Step::Append(
                (0..count)
                    .map(|_| plan(rng, shape == Shape::Large))
                    .collect(),
            )
        }
        12..=13 => Step::Housekeep,
        14 if at > 0 => Step::Repeat(rng.next_u64()),
        15 => Step::Conflict,
        14 | 16 | 17 => Step::Reopen,
        18 => Step::Abandon,
        _ => Step::Clock(if rng.chance(50) {
            5_000_000
        } else {
            -3_000_000
        }),
    }
}

/// An event of a workload; its number is unlike any other of any workload.
pub fn plan(rng: &mut Rng, large: bool) -> Plan {
    let sizes: &[u64] = if large {
        &[100, 16_000, 24_000, 33_000]
    } else {
        &[0, 1, 40, 104, 300, 512, 3_700, 4_096]
    };
    let base = rng.pick(sizes).copied().unwrap_or(40);
    Plan {
        entity: rng.below(3),
        len: (base + rng.below(9)) as usize,
        number: rng.next_u64(),
        own_id: rng.chance(50),
        back: false,
        poses: None,
        boundary: rng.chance(40).then(|| rng.below(BOUNDARIES)),
        exact: rng.chance(30),
        expect: Expect::Any,
    }
}

//! What is kept of the messages under one initiator's cookie. All of it is a sum, an extreme or the lowest few of a
//! set, so that the parts of a capture join to what one reading would have kept.

use std::collections::BTreeMap;

use crate::flow::FrameRef;
use crate::identify::ike::Vendors;
use crate::identify::ike::message::{Family, Message, Phase, Sender};
use crate::input::Timestamp;

/// When and where something was seen; the earliest counts.
pub(super) type Mark = (Timestamp, FrameRef);

/// A message but for who sends it again. Their order says which are kept: those that set up before those that
/// only tell that somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Telling {
    pub(super) phase: Phase,
    pub(super) exchange: u8,
    /// Which of the two hosts sent it.
    pub(super) side: usize,
    pub(super) id: u32,
    pub(super) length: u32,
    pub(super) checksum: u32,
    /// A further fragment of another one.
    pub(super) continues: bool,
}

/// How often a message was seen, and when first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) count: u64,
    pub(super) first: Mark,
}

/// The families of messages, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Families(u8);

impl Families {
    /// One family.
    pub fn of(family: Family) -> Self {
        Self(1 << family as u8)
    }

    /// Both sets in one.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a family is among them.
    pub fn has(self, family: Family) -> bool {
        self.0 & Self::of(family).0 != 0
    }

    /// The families, in their order.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |family| self.has(*family))
    }
}

/// Everything under one cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    /// The first message and which host sent it.
    began: (Mark, usize),
    /// The first message that tells who initiates, and which host that is.
    initiator: Option<(Mark, usize)>,
    /// The latest message.
    pub(super) last: Timestamp,
    /// The first and the last message of a setup.
    pub(super) setup: Option<[Mark; 2]>,
    pub(super) families: Families,
    /// Messages by host.
    pub(super) messages: [u64; 2],
    /// What they were, the lowest [`MAX_TOLD`].
    pub(super) told: BTreeMap<Telling, Told>,
    pub(super) vendors: Vendors,
    /// It went on where ESP is in UDP.
    pub(super) moved: bool,
    /// A message showed that the responder had answered.
    pub(super) answered: bool,
    /// A message was seen with which it may have begun: the initiator knew nothing of the responder yet.
    pub(super) opened: bool,
    /// The first error that was told in clear.
    pub(super) error: Option<(Mark, u16)>,
}

impl Attempt {
    /// What one message from one of the hosts tells.
    pub(super) fn of(message: &Message, side: usize, moved: bool, at: Mark) -> Self {
        let initiator = match message.sender {
            Sender::Initiator => Some((at, side)),
            Sender::Responder => Some((at, 1 - side)),
            Sender::Unknown => None,
        };
        let telling = Telling {
            phase: message.phase,
            exchange: message.exchange,
            side,
            id: message.id,
            length: message.length,
            checksum: message.checksum,
            continues: message.continues,
        };
        let informs = message.phase == Phase::Informational;
        Self {
            began: (at, side),
            initiator,
            last: at.0,
            setup: (message.phase == Phase::Setup).then_some([at, at]),
            families: if informs { Families::default() } else { Families::of(message.family) },
            messages: if side == 0 { [1, 0] } else { [0, 1] },
            told: BTreeMap::from([(telling, Told { count: 1, first: at })]),
            vendors: message.vendors,
            moved,
            answered: message.responder != 0,
            opened: message.responder == 0,
            error: message.error.map(|number| (at, number)),
        }
    }

    /// Adds what others told under the same cookie.
    pub(super) fn add(&mut self, other: Self) {
        self.began = self.began.min(other.began);
        self.opened |= other.opened;
        self.initiator = earlier(self.initiator, other.initiator);
        self.last = self.last.max(other.last);
        self.setup = match (self.setup, other.setup) {
            (Some(own), Some(others)) => Some([own[0].min(others[0]), own[1].max(others[1])]),
            (own, others) => own.or(others),
        };
        self.families = self.families.with(other.families);
        for (own, others) in self.messages.iter_mut().zip(other.messages) {
            *own += others;
        }
        for (telling, more) in other.told {
            let told = self.told.entry(telling).or_insert(Told { count: 0, first: more.first });
            told.count += more.count;
            told.first = told.first.min(more.first);
        }
        while self.told.len() > MAX_TOLD {
            self.told.pop_last();
        }
        self.vendors = self.vendors.with(other.vendors);
        self.moved |= other.moved;
        self.answered |= other.answered;
        self.error = earlier(self.error, other.error);
    }

    /// Whether more messages are kept with another one's than before.
    pub(super) fn grows_by(&self, other: &Self) -> bool {
        self.told.len() < MAX_TOLD
            && other.told.keys().any(|telling| !self.told.contains_key(telling))
    }

    /// Adds `offset` to the frame numbers of a capture.
    pub(super) fn rebase(&mut self, capture: u32, offset: u64) {
        let mut marks = vec![&mut self.began.0];
        marks.extend(self.initiator.as_mut().map(|(mark, _)| mark));
        marks.extend(self.setup.iter_mut().flatten());
        marks.extend(self.error.as_mut().map(|(mark, _)| mark));
        marks.extend(self.told.values_mut().map(|told| &mut told.first));
        for (_, frame) in marks {
            if frame.capture == capture {
                frame.frame += offset;
            }
        }
    }

    /// Which of the two hosts initiates: as the messages say, else who was heard first.
    pub(super) fn initiator(&self) -> usize {
        self.initiator.map_or(self.began.1, |(_, side)| side)
    }
}

fn earlier<T: Ord>(own: Option<T>, other: Option<T>) -> Option<T> {
    match (own, other) {
        (Some(own), Some(other)) => Some(own.min(other)),
        (own, other) => own.or(other),
    }
}

/// Different messages kept of an attempt. A setup has a dozen.
pub(super) const MAX_TOLD: usize = 64;

//! Flows about which nothing can be said before all flows are known: what ESP hides is audio rather if a call
//! began with it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ipsec::Ground;
use super::ipsec::exemptions::{Sight, peer, sealed_text};
use super::ipsec::sealed::{Sealed, sealed};
use super::kept::Kept;
use super::{Case, Row};
use crate::flow::FrameRef;
use crate::input::Timestamp;
use crate::policy::ExpectationId;

/// What waits, and what it waits for.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// By first frame; the earliest [`MAX_KEPT`].
    kept: BTreeMap<FrameRef, Kept>,
    /// When signalling began, by a host that is no server, or by a pair of servers.
    signalling: BTreeMap<(IpAddr, Option<IpAddr>), BTreeSet<Timestamp>>,
}

/// Hidden traffic about which something can be said.
pub(super) struct Hidden<'r> {
    pub(super) ground: Ground,
    pub(super) detail: String,
    pub(super) rows: Vec<Row<'r>>,
    pub(super) sights: Vec<(ExpectationId, Sight)>,
}

impl Later {
    /// Keeps a flow if something may have to be said of it, and notes what it says about others.
    pub(super) fn add(&mut self, case: &Case<'_>, rows: &[Row<'_>]) {
        if case.deployment.is_empty() {
            return;
        }
        self.note_signalling(case);
        let matters = |sealed: &Sealed<'_>| {
            sealed.ground(case, false).is_some() && !sealed.rows(case, rows).is_empty()
        };
        if sealed(case).iter().any(matters) {
            self.kept.insert(case.judged.flow.first_frame, Kept::of(&case.judged));
            if self.kept.len() > MAX_KEPT {
                self.kept.pop_last();
            }
        }
    }

    fn note_signalling(&mut self, case: &Case<'_>) {
        let expected = case.expected_by().and_then(|row| row.application) == Some(SIGNALLING);
        if !expected && case.judged.identification.protocol != Some(SIGNALLING) {
            return;
        }
        let [a, b] = ends(case);
        let mut keys = vec![pair(a, b)];
        keys.extend((!case.initiator.server).then_some((a, None)));
        keys.extend((!case.responder.server).then_some((b, None)));
        for key in keys {
            if self.signalling.len() >= MAX_HOSTS && !self.signalling.contains_key(&key) {
                continue;
            }
            let times = self.signalling.entry(key).or_default();
            times.insert(case.judged.flow.first);
            if times.len() > MAX_TIMES {
                times.pop_first();
            }
        }
    }

    /// Takes out the flows that waited.
    pub(super) fn take(&mut self) -> Vec<Kept> {
        std::mem::take(&mut self.kept).into_values().collect()
    }

    /// What can be said of a flow that waited, by direction.
    pub(super) fn hidden<'r>(&self, case: &Case<'_>, rows: &[Row<'r>]) -> Vec<Hidden<'r>> {
        let say = |sealed: Sealed<'_>| {
            let began = sealed.pace.times.map_or(case.judged.flow.first, |(first, _)| first);
            let with_call = self.call_began(case, began);
            let ground = sealed.ground(case, with_call)?;
            let rows = sealed.rows(case, rows);
            let call = if with_call { "; a call began with it" } else { "" };
            let sight = |row: &Row<'_>| Sight {
                ground,
                packets: sealed.pace.packets,
                frame: case.judged.flow.first_frame,
                peer: peer(case, sealed.sender, row),
                delay: None,
                text: format!("{}{call}", sealed_text(case, &sealed)),
                asking: None,
            };
            let sights = rows.iter().map(|row| (row.key, sight(row))).collect();
            let detail = sealed.to_string();
            (!rows.is_empty()).then_some(Hidden { ground, detail, rows, sights })
        };
        sealed(case).into_iter().filter_map(say).collect()
    }

    /// Whether signalling of these hosts began shortly before.
    fn call_began(&self, case: &Case<'_>, time: Timestamp) -> bool {
        let [a, b] = ends(case);
        let mut keys = vec![pair(a, b)];
        keys.extend((!case.initiator.server).then_some((a, None)));
        keys.extend((!case.responder.server).then_some((b, None)));
        let since = Timestamp(time.0.saturating_sub(BEFORE_MEDIA));
        let times = keys.iter().filter_map(|key| self.signalling.get(key));
        times.into_iter().any(|times| times.range(since..=time).next().is_some())
    }
}

fn ends(case: &Case<'_>) -> [IpAddr; 2] {
    case.judged.flow.ends.map(|end| end.address.to_canonical())
}

fn pair(a: IpAddr, b: IpAddr) -> (IpAddr, Option<IpAddr>) {
    (a.min(b), Some(a.max(b)))
}

/// What the application is called that begins and ends calls.
const SIGNALLING: &str = "sip";
/// How long before its media a call begins, in ns.
const BEFORE_MEDIA: i64 = 10_000_000_000;
/// Flows kept, some 4 MB.
const MAX_KEPT: usize = 8192;
/// Hosts and pairs whose signalling is kept.
const MAX_HOSTS: usize = 65_536;
/// Times kept of each, the latest.
const MAX_TIMES: usize = 64;

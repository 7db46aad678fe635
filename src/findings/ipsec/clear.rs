//! Which exemption rows a flow of clear media respects: only between hosts that use IPsec, and only where the
//! clear packets are not those of a host that shows what it decrypted.

use super::protected::covers;
use crate::findings::{Case, Row};
use crate::flow::Side;
use crate::policy::MediaSign;

/// The rows that a flow respects, with who sent the media.
pub(super) fn respected<'a>(case: &Case<'a>) -> Vec<(Row<'a>, Side)> {
    let flow = case.judged.flow;
    if case.exempt.is_empty() || case.deployment.is_empty() {
        return Vec::new();
    }
    let [a, b] = flow.ends.map(|end| end.address);
    let deployment = case.deployment;
    let in_use = deployment.is_between(a, b) || (deployment.uses(a) && deployment.uses(b));
    if flow.associations.is_some() || !in_use {
        return Vec::new();
    }
    let lasts = flow.last.0.saturating_sub(flow.first.0) >= MIN_DURATION;
    let sides = [Side::A, Side::B].into_iter().filter(|sender| {
        let packets = flow.counters[sender.index()].packets;
        packets > 0 && (packets >= MIN_PACKETS || lasts) && !is_decrypted(case, *sender)
    });
    let rows = case.exempt.iter().filter(|(_, sign)| *sign == MediaSign::Content);
    sides
        .flat_map(|sender| {
            let covered = rows.clone().filter(move |(row, _)| covers(row, case, sender));
            covered.map(move |(row, _)| (*row, sender))
        })
        .collect()
}

/// Whether what a side sends may be the content of ESP once more: a host that captures its own traffic
/// shows packets that come in before and after it decrypts them, and those that go out only encrypted.
fn is_decrypted(case: &Case<'_>, sender: Side) -> bool {
    let flow = case.judged.flow;
    let [from, to] = [sender, sender.other()].map(|side| flow.ends[side.index()].address);
    let one_way = flow.counters[sender.other().index()].packets == 0;
    let stream = case.deployment.stream(from, to).filter(|stream| stream.pace.is_some());
    one_way && stream.is_some_and(|stream| stream.first <= flow.last && stream.last >= flow.first)
}

/// Packets of media that show it flowing.
const MIN_PACKETS: u64 = 50;
/// Or this long, in ns.
const MIN_DURATION: i64 = 5_000_000_000;

//! Which exemption rows a flow of clear media respects: only between hosts that use IPsec, and only where the
//! clear packets are not those of a host that shows what it decrypted.

use super::audio::resembles_media;
use super::deployment::Stream;
use super::protected::covers;
use crate::findings::{Case, Row};
use crate::flow::{Counters, Pace, Side};
use crate::input::Timestamp;
use crate::policy::MediaSign;

/// The rows that a flow respects, with who sent the media. The hosts negotiated nothing as it began (`quiet`), or
/// it went on in clear while they used IPsec.
pub(super) fn respected<'a>(case: &Case<'a>, quiet: bool) -> Vec<(Row<'a>, Side)> {
    let flow = case.judged.flow;
    if case.exempt.is_empty() || case.deployment.is_empty() {
        return Vec::new();
    }
    let [a, b] = flow.ends.map(|end| end.address);
    let deployment = case.deployment;
    let in_use = deployment.is_between(a, b) || (deployment.uses(a) && deployment.uses(b));
    if !in_use || !(quiet || outlasts(case)) {
        return Vec::new();
    }
    // Each direction stands for itself: one may be protected and the other not.
    let inside = |side| flow.associations.as_ref().map_or(0, |around| around.packets(side));
    let lasts = flow.last.0.saturating_sub(flow.first.0) >= MIN_DURATION;
    let sides = [Side::A, Side::B].into_iter().filter(|sender| {
        let packets = flow.counters[sender.index()].packets;
        let clear = packets > 0 && inside(*sender) == 0;
        let shows = clear && (packets >= MIN_PACKETS || lasts);
        shows && !is_decrypted(case, *sender) && !goes_on_hidden(case, *sender)
    });
    let rows = case.exempt.iter().filter(|(_, sign)| *sign == MediaSign::Content);
    sides
        .flat_map(|sender| {
            let covered = rows.clone().filter(move |(row, _)| covers(row, case, sender));
            covered.map(move |(row, _)| (*row, sender))
        })
        .collect()
}

/// Whether a flow went on for a while beside an association of its hosts.
fn outlasts(case: &Case<'_>) -> bool {
    let flow = case.judged.flow;
    let [a, b] = flow.ends.map(|end| end.address);
    let streams = [case.deployment.stream(a, b), case.deployment.stream(b, a)];
    streams.into_iter().flatten().any(|stream| {
        let since = stream.first.max(flow.first);
        flow.last.0.saturating_sub(since.0) >= BESIDE && stream.last >= flow.first
    })
}

/// Whether what a side sends may be the content of ESP once more: a host that captures its own traffic
/// shows packets that come in before and after it decrypts them, and those that go out only encrypted. So nothing is in
/// clear the other way, unless both hosts captured: then each way has its twin.
pub(in crate::findings) fn is_decrypted(case: &Case<'_>, sender: Side) -> bool {
    let one_way = case.judged.flow.counters[sender.other().index()].packets == 0;
    if one_way {
        return may_be_inside(case, sender);
    }
    [Side::A, Side::B].into_iter().all(|side| is_twin(case, side))
}

/// The same where the hidden packets are little else: what they resemble, they resemble for it.
pub(in crate::findings) fn is_mostly_decrypted(case: &Case<'_>, sender: Side) -> bool {
    let clear = case.judged.flow.counters[sender.index()].packets;
    let little_else = |stream: &Stream| {
        stream.pace.is_some_and(|pace| {
            let counters = &case.judged.flow.counters[sender.index()];
            pace.packets <= clear.saturating_add(clear / 4) || is_as_many(counters, &pace)
        })
    };
    is_decrypted(case, sender) && hidden_stream(case, sender).is_some_and(little_else)
}

/// Whether hidden packets of the same time are as many and as large as those of a side, or more.
fn may_be_inside(case: &Case<'_>, sender: Side) -> bool {
    let flow = case.judged.flow;
    let clear = &flow.counters[sender.index()];
    hidden_stream(case, sender).is_some_and(|stream| {
        let meets = stream.first <= flow.last && stream.last >= flow.first;
        let holds = |pace: &Pace| {
            let some_lost = clear.packets - clear.packets / 10;
            pace.packets >= some_lost && fits_inside(clear, pace)
        };
        meets && stream.pace.as_ref().is_some_and(holds)
    })
}

/// Whether hidden packets are as many as those of a side, of the same time, and larger by what ESP adds.
fn is_twin(case: &Case<'_>, sender: Side) -> bool {
    let flow = case.judged.flow;
    let clear = &flow.counters[sender.index()];
    let near = |a: Timestamp, b: Timestamp| a.0.abs_diff(b.0) <= TURN;
    hidden_stream(case, sender).and_then(|stream| stream.pace.as_ref()).is_some_and(|pace| {
        let times = pace
            .times
            .is_some_and(|(first, last)| near(first, flow.first) && near(last, flow.last));
        times && is_as_many(clear, pace) && is_as_large(clear, pace)
    })
}

/// Whether hidden packets are as many as clear ones, but for some that one of the two lacks, or twice as many: of
/// captures of both hosts each shows every hidden packet.
pub(in crate::findings) fn is_as_many(clear: &Counters, pace: &Pace) -> bool {
    let like = |hidden: u64| clear.packets.abs_diff(hidden) <= hidden / 50;
    clear.packets > 0 && (like(pace.packets) || like(pace.packets / 2))
}

/// Whether the mean sizes differ by what ESP adds: header, initialization vector, padding and check value, in
/// UDP or in a tunnel as well.
pub(in crate::findings) fn is_as_large(clear: &Counters, pace: &Pace) -> bool {
    let (hidden, clear) = (mean(pace.ip_bytes, pace.packets), mean(ip_bytes(clear), clear.packets));
    (clear + LEAST_ADDED..=clear + MOST_ADDED).contains(&hidden)
}

/// Whether all that is in clear has room in hidden packets.
fn fits_inside(clear: &Counters, pace: &Pace) -> bool {
    pace.ip_bytes >= ip_bytes(clear) / 10 * 9
}

/// Bytes of IP in frames, which have a link header of 14 bytes or, where a host captures on all interfaces, some more.
fn ip_bytes(clear: &Counters) -> u64 {
    clear.bytes.saturating_sub(clear.packets.saturating_mul(LINK_HEADER))
}

fn mean(bytes: u64, packets: u64) -> u64 {
    bytes.checked_div(packets).unwrap_or_default()
}

/// Whether what a side sends ends where hidden packets to the same host begin that resemble media: it was in clear
/// only until there was an association.
fn goes_on_hidden(case: &Case<'_>, sender: Side) -> bool {
    let flow = case.judged.flow;
    let last = flow.last.0;
    let ends = last.saturating_sub(CROSSING)..=last.saturating_add(BESIDE);
    hidden_stream(case, sender).is_some_and(|stream| {
        let begins = stream.first > flow.first && ends.contains(&stream.first.0);
        begins && stream.pace.is_some_and(|pace| resembles_media(&pace))
    })
}

/// What a side's host sends the other's, if it cannot be read.
fn hidden_stream<'a>(case: &Case<'a>, sender: Side) -> Option<&'a Stream> {
    let ends = case.judged.flow.ends;
    let [from, to] = [sender, sender.other()].map(|side| ends[side.index()].address);
    case.deployment.stream(from, to).filter(|stream| stream.pace.is_some())
}

/// Bytes of an Ethernet header.
const LINK_HEADER: u64 = 14;
/// Bytes that ESP adds to a packet at least, less what link headers longer than Ethernet's and tags hide.
const LEAST_ADDED: u64 = 2;
/// The same at most: a tunnel over IPv6, in UDP, with padding to 16 bytes and a check value of 32.
const MOST_ADDED: u64 = 136;
/// How far the ends of the two ways of one conversation lie apart, in ns.
pub(in crate::findings) const TURN: u64 = 100_000_000;
/// How long media goes on in clear beside an association that does not cover it, in ns: what was on its way as
/// the association began has long come.
const BESIDE: i64 = 1_000_000_000;
/// How long after the first hidden packet others may still arrive in clear, in ns.
const CROSSING: i64 = 200_000_000;
/// Packets of media that show it flowing.
const MIN_PACKETS: u64 = 50;
/// Or this long, in ns.
const MIN_DURATION: i64 = 5_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Deployment;
    use crate::findings::testbed::{EXEMPT_IN, EXEMPT_OUT, Sample, Testbed, flow};
    use crate::flow::Marked;

    const BOTH: [(Row<'_>, MediaSign); 2] =
        [(EXEMPT_IN, MediaSign::Content), (EXEMPT_OUT, MediaSign::Content)];

    /// A second of media in clear.
    fn media(packets: [u64; 2]) -> Sample {
        let sample = flow("10.20.0.101:50020", "10.0.1.31:49200").udp().exempt(&BOTH);
        sample.packets(packets[0], packets[1]).during(10_000, 11_000)
    }

    /// ESP with the marking of audio.
    fn esp(from: &str, to: &str) -> Sample {
        hidden(from, to, 50, (10_500, 10_600))
    }

    /// So many packets of ESP from one time to another, in ms, each 42 bytes longer than those of the media.
    fn hidden(from: &str, to: &str, packets: u64, (first, last): (i64, i64)) -> Sample {
        let end = |host| format!("{host}:0");
        let pace = Pace {
            packets,
            ip_bytes: packets * 128,
            spis: Some((9, 9)),
            sequences: Some((1, 50)),
            marked: Marked { audio: packets, ..Marked::default() },
            times: Some((Timestamp(first * 1_000_000), Timestamp(last * 1_000_000))),
            ..Pace::default()
        };
        flow(&end(from), &end(to)).esp(9).paced(pace).during(first, last)
    }

    fn rows(media: &Sample, others: &[Sample]) -> Vec<(String, Side)> {
        let mut deployment = Deployment::default();
        others.iter().chain([media]).for_each(|sample| deployment.note(&sample.flow));
        let (bed, judged) = (Testbed::default(), media.judged());
        let case = Case::of(&judged, &bed, &deployment);
        respected(&case, true)
            .into_iter()
            .map(|(row, sender)| (row.id.to_owned(), sender))
            .collect()
    }

    fn inbound() -> (String, Side) {
        ("X05".to_owned(), Side::A)
    }

    fn outbound() -> (String, Side) {
        ("X06".to_owned(), Side::B)
    }

    #[test]
    fn media_in_clear_respect_the_rows_of_their_directions_where_both_hosts_use_ipsec() {
        let (client, server) = ("10.20.0.101", "10.0.1.31");
        let media = media([50, 50]);
        let both = [inbound(), outbound()];
        assert_eq!(rows(&media, &[esp(client, server)]), both);
        assert_eq!(rows(&media, &[esp(server, client)]), both);
        let elsewhere = [esp(client, "10.0.1.41"), esp("10.0.1.11", server)];
        assert_eq!(rows(&media, &elsewhere), both);
        assert_eq!(rows(&media, &elsewhere[..1]), []);
        assert_eq!(rows(&media, &elsewhere[1..]), []);
        assert_eq!(rows(&media, &[]), []);
    }

    #[test]
    fn fifty_packets_or_five_seconds_show_media_flowing() {
        let esp = [esp("10.20.0.101", "10.0.1.31")];
        assert_eq!(rows(&media([49, 50]), &esp), [outbound()]);
        assert_eq!(rows(&media([49, 1]).during(10_000, 14_999), &esp), []);
        let long = |packets| media(packets).during(10_000, 15_000);
        assert_eq!(rows(&long([49, 1]), &esp), [inbound(), outbound()]);
    }

    #[test]
    fn only_content_in_clear_counts() {
        let esp = [esp("10.20.0.101", "10.0.1.31")];
        let by_port = media([50, 50]).exempt(&[(EXEMPT_IN, MediaSign::OwnRange)]);
        assert_eq!(rows(&by_port, &esp), []);
        assert_eq!(rows(&media([50, 50]).exempt(&[]), &esp), []);
        // The other direction is in clear.
        assert_eq!(rows(&media([50, 50]).inside_ah([50, 0]), &esp), [outbound()]);
        assert_eq!(rows(&media([50, 50]).inside_ah([50, 1]), &esp), []);
    }

    #[test]
    fn what_a_host_shows_once_more_after_it_decrypted_it_is_not_clear() {
        let (client, server) = ("10.20.0.101", "10.0.1.31");
        let one_way = media([50, 0]);
        assert_eq!(rows(&one_way, &[esp(client, server)]), []);
        // The other direction is hidden, or it was at another time, or its content could be read.
        assert_eq!(rows(&one_way, &[esp(server, client)]), [inbound()]);
        for (first, last) in [(8_000, 9_999), (12_001, 13_000)] {
            let earlier_or_later = hidden(client, server, 50, (first, last));
            assert_eq!(rows(&one_way, &[earlier_or_later]), [inbound()]);
        }
        for (first, last) in [(8_000, 10_000), (11_000, 12_000)] {
            assert_eq!(rows(&one_way, &[hidden(client, server, 50, (first, last))]), []);
        }
        // Fewer packets cannot hold it, nor smaller ones.
        let few = hidden(client, server, 44, (10_000, 11_000));
        assert_eq!(rows(&one_way, &[few]), [inbound()]);
        let mut small = one_way.clone();
        small.flow.counters[0].bytes = 50 * 200;
        assert_eq!(rows(&small, &[esp(client, server)]), [inbound()]);
        let read = flow("10.20.0.101:1", "10.0.1.31:445").inside_ah([5, 0]).during(10_500, 10_600);
        assert_eq!(rows(&one_way, &[read]), [inbound()]);
    }

    #[test]
    fn captures_of_both_hosts_show_both_ways_decrypted() {
        let (client, server) = ("10.20.0.101", "10.0.1.31");
        let both = |there: u64, back: u64, until: i64| {
            let hidden = [
                hidden(client, server, there, (10_000, until)),
                hidden(server, client, back, (10_020, 10_990)),
            ];
            rows(&media([50, 50]), &hidden)
        };
        assert_eq!(both(50, 50, 11_000), []);
        assert_eq!(both(100, 51, 11_000), [], "each host shows the hidden packets");
        for (there, back, until) in [(60, 50, 11_000), (50, 45, 11_000), (50, 50, 11_101)] {
            assert_eq!(both(there, back, until), [inbound(), outbound()], "{there} {back} {until}");
        }
    }

    #[test]
    fn media_that_were_in_clear_until_an_association_began_respect_nothing() {
        let (client, server) = ("10.20.0.101", "10.0.1.31");
        let with = |hidden: &[Sample]| rows(&media([50, 50]), hidden);
        for first in [10_800, 11_000, 12_000] {
            let there = hidden(client, server, 50, (first, 20_000));
            assert_eq!(with(std::slice::from_ref(&there)), [outbound()], "{first}");
            assert_eq!(with(&[there, hidden(server, client, 50, (first, 20_000))]), [], "{first}");
        }
        for first in [10_799, 12_001] {
            let there = hidden(client, server, 50, (first, 20_000));
            assert_eq!(with(&[there]), [inbound(), outbound()], "{first}");
        }
        // What begins at its end and resembles no media is something else.
        let farewell = flow("10.20.0.101:0", "10.0.1.31:0").esp(9).during(11_000, 12_000);
        assert_eq!(with(&[farewell]), [inbound(), outbound()]);
    }
}

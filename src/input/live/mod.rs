//! Frames from a network interface, through libpcap, with an honest account of what was lost.
//!
//! Measured on Linux, and the reasons for what this file does:
//!
//! - On an idle link a blocking read never returns, whatever the timeout says. So reads do not
//!   block, and waiting is done on the file descriptor, bounded.
//! - Stopping at once loses what the kernel still holds, and no counter tells. So [`Live::stop`]
//!   fixes how much that is, and [`Live::next`] goes on until it is read.
//! - Immediate mode costs 14 to 37 times the CPU, so it stays off.
//! - Offloading gives "frames" of up to 198,586 bytes: the snaplen is 262,144.
//! - The kernel takes the outer VLAN tag off and libpcap puts it back after the filter ran: a filter
//!   `udp` misses tagged UDP, `udp or (vlan and udp)` does not.
//! - When the link goes down nothing is told, and frames come again after it goes up.

mod account;
mod interface;

pub use account::LiveStats;
pub use interface::{Interface, LinkState};

use super::filter::message;
use super::{Frame, LinkType, Timestamp, dlt};
use crate::error::{Error, Result};
use account::{Counters, Tail};
use interface::refusal;
use pcap::{Active, Capture, Device, Packet, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// An interface being captured on.
pub struct Live {
    capture: Capture<Active>,
    interface: String,
    link_type: LinkType,
    promiscuous: Promiscuous,
    /// Nanoseconds per unit of the fraction of a second.
    tick: i64,
    /// Frames delivered.
    read: u64,
    counters: Counters,
    supply: Supply,
    phase: Phase,
}

/// What to capture, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOptions {
    /// Name of the interface, as [`Live::list`] gives it.
    pub interface: String,
    /// Most bytes captured of a frame.
    pub snaplen: u32,
    /// Size of the kernel's buffer in bytes.
    pub buffer_bytes: u32,
    /// Whether frames to other hosts are wanted.
    pub promiscuous: Promiscuous,
    /// BPF expression run by the kernel; frames it leaves out are not counted anywhere.
    pub filter: Option<String>,
}

/// Whether an interface takes up frames that are addressed to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promiscuous {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// What came of asking for the next frame.
#[derive(Debug)]
pub enum LiveEvent<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// Nothing is there now. The next call waits for up to 100 ms: a good moment to look whether to
    /// stop.
    Idle,
    /// After [`Live::stop`]: all that the kernel held has been read, or given up on.
    Drained,
    /// The interface is gone. What was delivered before is valid.
    Gone(Error),
}

impl LiveOptions {
    /// Everything on an interface, with the usual sizes.
    pub fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            snaplen: SNAPLEN,
            buffer_bytes: BUFFER_BYTES,
            promiscuous: Promiscuous::On,
            filter: None,
        }
    }
}

impl Live {
    /// Starts capturing.
    pub fn open(options: &LiveOptions) -> Result<Self> {
        let (capture, promiscuous) = activate(options)?;
        let refused = |error| refusal(&options.interface, error);
        let mut capture = capture.setnonblock().map_err(refused)?;
        let link_type = dlt::from_libpcap(capture.get_datalink());
        let mut counters = Counters::default();
        if let Some(expression) = &options.filter {
            set_filter(&mut capture, expression)?;
            // What came before the filter is sorted out unseen and must not look unread.
            counters.start_from(capture.stats().map_err(refused)?);
        }
        Ok(Self {
            capture,
            interface: options.interface.clone(),
            link_type,
            promiscuous,
            tick: tick(precision(&options.interface)),
            read: 0,
            counters,
            supply: Supply::Unknown,
            phase: Phase::Running,
        })
    }

    /// The interfaces of this host.
    pub fn list() -> Result<Vec<Interface>> {
        let devices = Device::list().map_err(|error| refusal("any interface", error))?;
        Ok(devices.into_iter().map(Interface::from).collect())
    }

    /// The time of day: the only clock in this tool, for what happens when nothing arrives.
    #[expect(clippy::disallowed_methods, reason = "a live capture is now")]
    pub fn now() -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Name of the interface.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// What kind of header the frames begin with.
    pub fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// Whether the interface really is promiscuous: not each can be.
    pub fn promiscuous(&self) -> Promiscuous {
        self.promiscuous
    }

    /// Whether the link is up at this moment, where the system tells. Frames simply stop coming when
    /// it goes down, so a gap has to be looked for: now and then, not per frame.
    pub fn link_state(&self) -> Option<LinkState> {
        interface::link_state(&self.interface)
    }

    /// The next frame, or why there is none now. Waits for at most 100 ms, and only when the call
    /// before found nothing. Lending: the frame borrows the capture.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its buffer")]
    pub fn next(&mut self) -> LiveEvent<'_> {
        if self.supply == Supply::Empty {
            self.supply = Supply::Unknown;
            wait(&self.capture);
        }
        if self.phase.is_over(self.read) {
            return LiveEvent::Drained;
        }
        match self.capture.next_packet() {
            Ok(packet) => {
                self.read += 1;
                LiveEvent::Frame(frame(&packet, self.read, self.link_type, self.tick))
            }
            Err(pcap::Error::TimeoutExpired) => {
                self.supply = Supply::Empty;
                self.phase.count_idle();
                LiveEvent::Idle
            }
            Err(error) => LiveEvent::Gone(Error::Capture {
                interface: self.interface.clone(),
                why: format!("{}; what was captured before is valid", message(error)),
            }),
        }
    }

    /// Asks to stop: from now on [`Self::next`] gives what the kernel still holds, for at most half
    /// a second of silence, and then [`LiveEvent::Drained`].
    pub fn stop(&mut self) {
        if let Phase::Running = self.phase {
            self.stats();
            let target = self.counters.deliverable();
            self.phase = Phase::Draining { target, patience: PATIENCE };
        }
    }

    /// What was received and lost so far. When the interface is gone: what was known last.
    pub fn stats(&mut self) -> LiveStats {
        if let Ok(stat) = self.capture.stats() {
            self.counters.update(stat);
        }
        let drained = self.phase.is_over(self.read);
        self.counters.account(self.read, if drained { Tail::Drained } else { Tail::Open })
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("interface", &self.interface)
            .field("link_type", &self.link_type)
            .field("read", &self.read)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

/// Whether frames are at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Supply {
    /// The next read will tell.
    Unknown,
    /// There was none at the last read.
    Empty,
}

/// Whether the capture goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It does.
    Running,
    /// Until so many frames are delivered, or nothing came so many more times.
    Draining { target: u64, patience: u32 },
}

impl Phase {
    fn is_over(self, read: u64) -> bool {
        matches!(self, Self::Draining { target, patience } if read >= target || patience == 0)
    }

    fn count_idle(&mut self) {
        if let Self::Draining { patience, .. } = self {
            *patience = patience.saturating_sub(1);
        }
    }
}

/// Opens the interface, without promiscuous mode where that is all that stands in the way: libpcap
/// warns when an interface cannot have it, and the warning comes as an error.
fn activate(options: &LiveOptions) -> Result<(Capture<Active>, Promiscuous)> {
    let wanted = match options.interface.as_str() {
        "any" => Promiscuous::Off,
        _ => options.promiscuous,
    };
    let first = open(options, wanted);
    let second = match (&first, wanted) {
        (Err(_), Promiscuous::On) => open(options, Promiscuous::Off).ok(),
        _ => None,
    };
    match (second, first) {
        (Some(capture), _) => Ok((capture, Promiscuous::Off)),
        (None, Ok(capture)) => Ok((capture, wanted)),
        (None, Err(error)) => Err(refusal(&options.interface, error)),
    }
}

fn open(
    options: &LiveOptions,
    promiscuous: Promiscuous,
) -> std::result::Result<Capture<Active>, pcap::Error> {
    let size = |bytes: u32| i32::try_from(bytes).unwrap_or(i32::MAX);
    Capture::from_device(options.interface.as_str())?
        .snaplen(size(options.snaplen))
        .buffer_size(size(options.buffer_bytes))
        .promisc(promiscuous == Promiscuous::On)
        .precision(precision(&options.interface))
        .timeout(BLOCK_MILLIS)
        .open()
}

fn set_filter(capture: &mut Capture<Active>, expression: &str) -> Result<()> {
    capture.filter(expression, true).map_err(|error| Error::Filter {
        expression: expression.to_owned(),
        link_type: capture.get_datalink().get_name().unwrap_or_default(),
        why: message(error),
    })
}

/// The finest time stamps an interface surely has. libpcap would not tell whether it took a request
/// for more, but network interfaces of Linux all do. Their list is read where it is that of this
/// process, since the one in `/sys` may be of another network namespace.
fn precision(interface: &str) -> Precision {
    let list = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let mut names = list.lines().filter_map(|line| line.split_once(':'));
    if interface == "any" || names.any(|(name, _)| name.trim() == interface) {
        Precision::Nano
    } else {
        Precision::Micro
    }
}

fn tick(precision: Precision) -> i64 {
    match precision {
        Precision::Nano => 1,
        Precision::Micro => 1_000,
    }
}

fn frame<'a>(packet: &Packet<'a>, number: u64, link_type: LinkType, tick: i64) -> Frame<'a> {
    let seconds = wide(packet.header.ts.tv_sec).saturating_mul(1_000_000_000);
    let fraction = wide(packet.header.ts.tv_usec).saturating_mul(tick);
    Frame {
        number,
        time: Timestamp(seconds.saturating_add(fraction)),
        link_type,
        data: packet.data,
        original_len: packet.header.len.max(packet.header.caplen),
    }
}

/// A number of the system's time types, which are not equally wide everywhere.
fn wide(number: impl Into<i64>) -> i64 {
    number.into()
}

/// Waits until a frame may be there, for a bounded time. A signal ends it early, which is fine.
fn wait(capture: &Capture<Active>) {
    let mut fds = [PollFd::new(capture, PollFlags::IN)];
    let woken = poll(&mut fds, Some(&WAIT)).unwrap_or(0);
    let readable = fds.iter().any(|fd| fd.revents().contains(PollFlags::IN));
    if woken > 0 && !readable {
        // An error that the next read will tell, or one that stays: never spin on it.
        let _ = poll(&mut [], Some(&PAUSE));
    }
}

/// Most bytes captured of a frame, unless told otherwise.
const SNAPLEN: u32 = 262_144;
/// Size of the kernel's buffer, unless told otherwise: 0.4 s at 400,000 frames a second.
const BUFFER_BYTES: u32 = 64 << 20;
/// How long the kernel may hold a part-filled block back, in milliseconds.
const BLOCK_MILLIS: i32 = 100;
/// How long one wait lasts at most.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// How long a pause is when waiting is impossible.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// Fruitless waits until draining is given up; the kernel needs one or two.
const PATIENCE: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::process::Command;

    #[test]
    fn draining_ends_by_count_or_by_silence() {
        let mut phase = Phase::Running;
        phase.count_idle();
        assert!(!phase.is_over(u64::MAX));
        let mut phase = Phase::Draining { target: 10, patience: 2 };
        assert!(phase.is_over(10) && !phase.is_over(9));
        phase.count_idle();
        phase.count_idle();
        assert!(phase.is_over(9));
    }

    #[test]
    fn an_unknown_interface_is_refused() {
        let error = Live::open(&LiveOptions::new("nosuchif0")).unwrap_err().to_string();
        assert!(error.starts_with("cannot capture on nosuchif0: "), "{error}");
        assert!(error.contains("no such interface") || error.contains("CAP_NET_RAW"), "{error}");
    }

    /// Set where a test may change the network: the tests that do so return at once elsewhere.
    const OWN_NETWORK: &str = "PORTASSAY_TEST_OWN_NETWORK";

    /// Runs one of the tests below with a network of its own, where it may do as it likes.
    fn in_own_network(test: &str) {
        let ways: [&[&str]; 2] = [&["--net"], &["--net", "--user", "--map-root-user"]];
        let works = |way: &&&[&str]| {
            let output = Command::new("unshare").args(**way).args(["ip", "link"]).output();
            output.is_ok_and(|output| output.status.success())
        };
        let Some(way) = ways.iter().find(works) else {
            eprintln!("SKIPPED {test}: neither root nor user namespaces, so no network of its own");
            return;
        };
        let name = format!("input::live::tests::{test}");
        let output = Command::new("unshare")
            .args(*way)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", &name])
            .env(OWN_NETWORK, "1")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("1 passed"), "{told}\n{complaint}");
    }

    fn ip(arguments: &str) {
        let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
        assert!(status.success(), "ip {arguments}");
    }

    fn veth_pair() {
        ip("link add va type veth peer name vb");
        ip("link set va up");
        ip("link set vb up");
    }

    #[test]
    fn a_stop_loses_nothing() {
        in_own_network("stop_at_once_after_500_frames");
    }

    #[test]
    fn stop_at_once_after_500_frames() {
        if std::env::var_os(OWN_NETWORK).is_none() {
            return;
        }
        veth_pair();
        ip("addr add 10.9.9.1/24 dev va");
        ip("neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev va");
        let filter = Some("udp dst port 9009".to_owned());
        let mut live = Live::open(&LiveOptions { filter, ..LiveOptions::new("vb") }).unwrap();
        assert_eq!(live.link_type(), LinkType::ETHERNET);
        assert_eq!(live.tick, 1);
        let before = Live::now();
        let socket = UdpSocket::bind("10.9.9.1:0").unwrap();
        for index in 0..500u32 {
            socket.send_to(&index.to_be_bytes(), "10.9.9.2:9009").unwrap();
            socket.send_to(b"other", "10.9.9.2:9008").unwrap();
        }
        live.stop();
        let mut numbers = Vec::new();
        loop {
            match live.next() {
                LiveEvent::Frame(frame) => {
                    assert_eq!((frame.data.len(), frame.original_len), (46, 46));
                    assert!(frame.time >= before && frame.time <= Live::now());
                    numbers.push(u32::from_be_bytes(*frame.data.last_chunk().unwrap()));
                    assert_eq!(frame.number, numbers.len() as u64);
                }
                LiveEvent::Idle => {}
                LiveEvent::Drained => break,
                LiveEvent::Gone(error) => panic!("{error}"),
            }
        }
        assert_eq!(numbers, (0..500).collect::<Vec<u32>>());
        let stats = live.stats();
        assert_eq!((stats.read, stats.received, stats.unread), (500, 500, 0));
        assert_eq!((stats.dropped_by_kernel, stats.dropped_by_interface), (0, 0));
    }

    #[test]
    fn an_idle_link_lets_the_caller_look_around() {
        in_own_network("idle_and_stop");
    }

    #[test]
    fn idle_and_stop() {
        if std::env::var_os(OWN_NETWORK).is_none() {
            return;
        }
        ip("link set lo up");
        let filter = Some("tcp port 1".to_owned());
        let mut live = Live::open(&LiveOptions { filter, ..LiveOptions::new("lo") }).unwrap();
        for _ in 0..3 {
            assert!(matches!(live.next(), LiveEvent::Idle));
        }
        live.stop();
        assert!(matches!(live.next(), LiveEvent::Drained));
        let options =
            LiveOptions { filter: Some("tcp prot 1".to_owned()), ..LiveOptions::new("lo") };
        let error = Live::open(&options).unwrap_err().to_string();
        assert!(error.contains("syntax error") && error.contains("EN10MB"), "{error}");
        let any = Live::open(&LiveOptions::new("any")).unwrap();
        assert_eq!(any.promiscuous(), Promiscuous::Off);
        assert!(Live::list().unwrap().iter().any(|interface| interface.name == "lo"));
    }

    #[test]
    fn an_interface_that_goes_away_is_told() {
        in_own_network("remove_the_interface");
    }

    #[test]
    fn remove_the_interface() {
        if std::env::var_os(OWN_NETWORK).is_none() {
            return;
        }
        veth_pair();
        let mut live = Live::open(&LiveOptions::new("va")).unwrap();
        assert_eq!(live.link_state(), Some(LinkState::Up));
        ip("link set vb down");
        // The kernel carries the news to the other end when it finds the time.
        let down = (0..100).any(|_| {
            let down = live.link_state() == Some(LinkState::Down);
            if !down {
                live.next();
            }
            down
        });
        assert!(down, "the lost carrier goes unnoticed");
        ip("link del va");
        assert_eq!(live.link_state(), None);
        let gone = (0..100).find_map(|_| match live.next() {
            LiveEvent::Gone(error) => Some(error.to_string()),
            _ => None,
        });
        let error = gone.expect("the removal goes unnoticed");
        assert!(error.starts_with("cannot capture on va: ") && error.contains("valid"), "{error}");
    }
}

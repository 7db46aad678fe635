//! Live audit: frames from an interface, flows that age out, findings as they appear, and the full
//! report at the end.
//!
//! Memory stays bounded over days: a flow without packets for the idle time is judged for good,
//! added to the audit and forgotten. Younger flows are judged provisionally a few seconds after
//! their first packet, only to print what is new; the report counts each flow once, at its end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::findings::{Audit, Deployment, Finding, Pairs};
use crate::flow::sample::Sample;
use crate::flow::{Flow, FlowTable, Limits, mix};
use crate::identify;
use crate::input::live::{Live, LiveEvent, LiveStats};
use crate::input::{Format, Frame, Timestamp};
use crate::pipeline::check::{self, Checked, Services, Threshold};
use crate::pipeline::counts::{self, CaptureCounts};
use crate::pipeline::intake::{Duplicates, Intake};
use crate::pipeline::judge::{self, JudgedFlow};
use crate::pipeline::quality::{self, Evidence};
use crate::policy::Policy;
use crate::report::{Grade, LiveCounts};

/// How a watch runs.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Seconds without a packet after which a flow is closed.
    pub idle_seconds: u32,
    /// Bounds of the flow table.
    pub limits: Limits,
    /// What to do with copies of packets.
    pub duplicates: Duplicates,
    /// When to stop by itself.
    pub stop: StopLimits,
    /// What turns findings into an exit code.
    pub threshold: Threshold,
}

/// When a watch stops by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct StopLimits {
    /// After so many packets.
    pub packets: Option<u64>,
    /// After so long.
    pub duration: Option<Duration>,
}

/// A flag that SIGINT and SIGTERM raise. A second signal ends the program at once.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Registered first, the conditional exit sees the flag as the signal before left it.
        let exit = 128 + signal;
        signal_hook::flag::register_conditional_shutdown(signal, exit, Arc::clone(&flag))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
            .map_err(|source| Error::Usage(format!("cannot catch signals: {source}")))?;
    }
    Ok(flag)
}

/// Watches until told to stop, telling each new finding; then reports.
pub fn watch(
    live: &mut Live,
    policy: &Policy,
    options: Options,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(&Finding) -> io::Result<()>,
) -> Result<Checked> {
    let mut watcher = Watcher::new(live.interface(), policy, options);
    let end = run(live, &mut watcher, stop, tell)?;
    let stats = live.stats();
    Ok(watcher.finish(end, stats))
}

/// Why a watch ended.
#[derive(Debug)]
enum End {
    /// A signal, or a limit of time; all that was on the wire before has been read.
    Asked,
    /// The number of packets asked for.
    Enough,
    /// The interface has gone.
    Gone(Error),
}

fn run(
    live: &mut Live,
    watcher: &mut Watcher<'_>,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(&Finding) -> io::Result<()>,
) -> Result<End> {
    let limits = watcher.options.stop;
    let start = Live::now();
    let until = limits.duration.map(|duration| after(start, duration));
    let mut next_tick = after(start, TICK);
    loop {
        match live.next() {
            LiveEvent::Frame(frame) => watcher.observe(&frame),
            LiveEvent::Idle => {}
            LiveEvent::Drained => return Ok(End::Asked),
            LiveEvent::Gone(error) => return Ok(End::Gone(error)),
        }
        if limits.packets.is_some_and(|n| watcher.counts.tally.frames >= n) {
            return Ok(End::Enough);
        }
        let now = Live::now();
        if stop.load(Ordering::Relaxed) || until.is_some_and(|until| now >= until) {
            // What the kernel still holds was on the wire before the stop: it is read first.
            live.stop();
        }
        if now >= next_tick {
            next_tick = after(now, TICK);
            watcher
                .tick(now, tell)
                .map_err(|source| Error::Write { path: "standard output".into(), source })?;
        }
    }
}

fn after(time: Timestamp, duration: Duration) -> Timestamp {
    let nanoseconds = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    Timestamp(time.0.saturating_add(nanoseconds))
}

fn before(time: Timestamp, duration: Duration) -> Timestamp {
    let nanoseconds = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    Timestamp(time.0.saturating_sub(nanoseconds))
}

/// Time between two looks at the flows.
const TICK: Duration = Duration::from_secs(1);
/// Time between two rounds of closing idle flows, which walk the whole table.
const CLOSING: Duration = Duration::from_secs(10);
/// Age at which a negotiation is judged for the first time: media that waits for it has come by then.
const NEGOTIATED: Duration = Duration::from_secs(60);
/// How long an announcement is heeded after it was made for the last time. Clients remember the port of
/// a service for as long as they run.
const HEEDED: Duration = Duration::from_secs(24 * 60 * 60);
/// Age at which a flow is judged for the first time: by then an answer has come, or a second
/// request has not been answered either.
const FIRST_LOOK: Duration = Duration::from_secs(3);

struct Watcher<'p> {
    policy: &'p Policy,
    options: Options,
    table: FlowTable,
    intake: Intake,
    counts: CaptureCounts,
    /// Flows that ended.
    audit: Audit<'p>,
    /// Flows as first looked at, for telling only.
    preview: Audit<'p>,
    /// Flows first seen before this were looked at already.
    looked_until: Timestamp,
    services: Services,
    deployment: Arc<Deployment>,
    quality: quality::Sides,
    next_closing: Timestamp,
}

impl<'p> Watcher<'p> {
    fn new(interface: &str, policy: &'p Policy, options: Options) -> Self {
        let seed = mix::seed();
        Self {
            policy,
            options,
            table: FlowTable::new(options.limits).seeded(seed).tasting(identify::TASTE),
            intake: Intake::new(None, options.duplicates, seed),
            counts: CaptureCounts::new(interface.as_ref(), Format::Live),
            audit: Audit::new(policy),
            preview: Audit::new(policy),
            looked_until: Timestamp(i64::MIN),
            services: Services::default(),
            deployment: Arc::default(),
            quality: quality::Sides::default(),
            next_closing: Timestamp(i64::MIN),
        }
    }

    fn observe(&mut self, frame: &Frame<'_>) {
        self.intake.take(frame, 0, &mut self.counts, &mut self.table);
    }

    /// Closes idle flows and tells what is new.
    fn tick(
        &mut self,
        now: Timestamp,
        tell: &mut dyn FnMut(&Finding) -> io::Result<()>,
    ) -> io::Result<()> {
        let idle = Duration::from_secs(u64::from(self.options.idle_seconds));
        let young = before(now, FIRST_LOOK);
        judge::believe(self.intake.learned(), &self.table);
        for (flow, sample) in self.table.begun(self.looked_until..young) {
            let judged = judge::judge(self.policy, self.intake.learned(), flow, &sample);
            self.preview.add(&judged.as_judged());
        }
        self.looked_until = young;
        if now >= self.next_closing {
            self.next_closing = after(now, CLOSING);
            self.note_deployment();
            self.audit.heed(self.intake.negotiations());
            self.preview.heed(self.intake.negotiations());
            let closed = self.table.take_idle(before(now, idle));
            for judged in self.close(closed) {
                self.preview.add(&judged.as_judged());
            }
            // For good they are judged in the end, when every flow of their time has come.
            self.audit.settle(Timestamp(i64::MIN));
            self.preview.settle(before(now, NEGOTIATED));
            let old = self.intake.learned().forget(before(now, HEEDED));
            self.audit.announced(&old);
            self.intake.negotiations().forget(before(now, HEEDED));
        }
        self.preview.fresh().iter().try_for_each(tell)
    }

    /// Adds the flows that the table holds to what is known of who uses IPsec.
    fn note_deployment(&mut self) {
        let deployment = Arc::make_mut(&mut self.deployment);
        for flow in self.table.secured() {
            deployment.note(&flow);
        }
        if !self.deployment.is_empty() {
            self.audit.tell_deployment(Arc::clone(&self.deployment));
            self.preview.tell_deployment(Arc::clone(&self.deployment));
        }
    }

    /// Judges flows for good.
    fn close(&mut self, flows: Vec<(Flow, Sample)>) -> Vec<JudgedFlow> {
        let judged = judge::judge_all(self.policy, self.intake.learned(), flows);
        for flow in &judged {
            self.audit.add(&flow.as_judged());
            self.quality.add(flow);
            if !self.policy.has_topology() {
                self.services.add(flow);
            }
        }
        judged
    }

    fn finish(mut self, end: End, stats: LiveStats) -> Checked {
        let untracked = self.table.untracked().packets;
        let (fragments, strays) = self.table.finish_fragments();
        judge::believe(self.intake.learned(), &self.table);
        self.note_deployment();
        let table = std::mem::replace(&mut self.table, FlowTable::new(self.options.limits));
        self.audit.heed(self.intake.negotiations());
        self.close(table.into_flows().collect());
        self.audit.announced(self.intake.learned());
        self.audit.settle(Timestamp(i64::MAX));
        let dropped = stats.dropped_by_kernel + stats.dropped_by_interface;
        self.counts.tally.dropped_by_capture = Some(dropped);
        // When enough was asked for, what is left unread was not wanted.
        let unread = if matches!(end, End::Asked) { stats.unread } else { 0 };
        let errors = match end {
            End::Gone(error) => vec![error],
            End::Asked | End::Enough => Vec::new(),
        };
        let mut captures = [self.counts];
        counts::add_strays(&mut captures, &strays);
        let (mut grade, mut reasons) = quality::grade(&Evidence {
            captures: &captures,
            sides: &self.quality,
            pairs: &Pairs::default(),
            fragments: &fragments,
            untracked_packets: untracked,
            unheard: self.intake.learned().left_out(),
            filter: None,
        });
        if unread > 0 {
            if grade == Grade::Good {
                grade = Grade::Degraded;
            }
            reasons.push(format!("{unread} packets were still unread at the stop"));
        }
        let mut report =
            check::draft(self.policy, &captures, self.audit.finish(), (grade, reasons), untracked);
        report.fragments = fragments;
        if let Some(capture) = report.captures.first_mut() {
            capture.live = Some(LiveCounts {
                received: stats.received,
                dropped_by_kernel: stats.dropped_by_kernel,
                dropped_by_interface: stats.dropped_by_interface,
                unread,
            });
        }
        if !self.policy.has_topology() {
            self.services.describe(self.policy, &mut report);
        }
        check::conclude(report, &captures, errors, self.options.threshold)
    }
}

//! Live capture in a network namespace of the test's own: a veth pair, fixtures replayed into one
//! end, `watch` on the other. Nothing leaves the namespace; packets and time are bounded.
//!
//! Skipped, loudly, where the machine does not let a test make namespaces.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use pcap::Capture;
use portassay::input::savefile::Records;
use serde_json::Value;

use crate::support::fixtures;

/// Names the capture that a helper process replays inside the namespace.
const REPLAY: &str = "PORTASSAY_TEST_REPLAY";
/// Set where the helper keeps at least the gaps of the capture.
const PACED: &str = "PORTASSAY_TEST_REPLAY_PACED";

struct Namespace(String);

impl Namespace {
    /// A namespace with the veth pair `v0`–`v1`, or `None` with a loud word.
    fn make(label: &str) -> Option<Self> {
        let name = format!("pa{}{label}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: cannot make network namespaces here (ip netns add, as root)");
            return None;
        }
        let namespace = Self(name);
        for words in [
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
            "ip link add v0 mtu 65535 type veth peer name v1 mtu 65535",
            "ip link set v0 up",
            "ip link set v1 up",
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            let output = namespace.command(words[0]).args(&words[1..]).output().unwrap();
            let optional = words[0] == "sysctl";
            assert!(output.status.success() || optional, "{words:?}: {output:?}");
        }
        Some(namespace)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }

    /// Starts a watch and waits until it captures.
    fn watch(&self, arguments: &[&str]) -> Watch {
        let mut child = self
            .command(env!("CARGO_BIN_EXE_portassay"))
            .args(["watch", "-i", "v1", "-v"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("capturing") {
            let before = said.len();
            stderr.read_line(&mut said).unwrap();
            assert!(said.len() > before, "the watch ended early: {said}");
        }
        Watch { child, stderr }
    }

    /// Replays a capture into `v0`, fast.
    fn replay(&self, capture: &Path) {
        self.send(capture, &[]);
    }

    /// Replays a capture into `v0` with the gaps that it has.
    fn replay_paced(&self, capture: &Path) {
        self.send(capture, &[PACED]);
    }

    /// Has a helper process inside the namespace send a capture.
    fn send(&self, capture: &Path, set: &[&str]) {
        let me = std::env::current_exe().unwrap();
        let output = self
            .command(&me.display().to_string())
            .args(["live::replays_when_asked", "--exact", "--nocapture"])
            .env(REPLAY, capture)
            .envs(set.iter().map(|name| (name, "1")))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _gone_with_the_machine = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

struct Watch {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Watch {
    fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    fn finish(mut self) -> (Output, String) {
        let mut said = String::new();
        let drain = std::thread::spawn(move || {
            while self.stderr.read_line(&mut said).is_ok_and(|read| read > 0) {}
            said
        });
        let output = self.child.wait_with_output().unwrap();
        (output, drain.join().unwrap())
    }
}

fn capture(name: &str) -> PathBuf {
    let folder = fixtures::folder().join(name);
    ["capture.pcapng", "capture.pcap"]
        .iter()
        .map(|file| folder.join(file))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("no capture in {}", folder.display()))
}

/// The frames of a capture, each with the time since the one before.
fn frames(path: &Path) -> Vec<(Duration, Vec<u8>)> {
    let mut records = Records::from_stream("fixture", Box::new(File::open(path).unwrap())).unwrap();
    let mut frames = Vec::new();
    let mut before = None;
    while let Some(frame) = records.next() {
        let gap = frame.time.0.saturating_sub(before.unwrap_or(frame.time.0));
        before = Some(frame.time.0);
        frames.push((Duration::from_nanos(u64::try_from(gap).unwrap()), frame.data.to_vec()));
    }
    frames
}

/// The helper: does nothing unless a capture is named, and then only inside the namespace.
#[test]
fn replays_when_asked() {
    let Some(path) = std::env::var_os(REPLAY) else {
        return;
    };
    let paced = std::env::var_os(PACED).is_some();
    let mut out = Capture::from_device("v0").unwrap().open().unwrap();
    for (n, (gap, frame)) in frames(Path::new(&path)).into_iter().enumerate() {
        if paced {
            std::thread::sleep(gap);
        } else if n % 64 == 63 {
            std::thread::sleep(Duration::from_millis(2));
        }
        out.sendpacket(frame).unwrap();
    }
}

/// What is said of the same capture as a file.
fn check(path: &Path, topology: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portassay"))
        .args(["check", &path.display().to_string(), "-t", topology, "--format", "json"])
        .output()
        .unwrap()
}

/// Findings without times, which a replay cannot keep, and without the capture's own number.
fn findings(report: &Value) -> Vec<Value> {
    let mut findings = report["findings"].as_array().unwrap().clone();
    for finding in &mut findings {
        for time in ["first", "last"] {
            finding[time] = Value::Null;
        }
    }
    findings
}

#[test]
fn watching_a_replay_finds_what_check_finds_in_the_file() {
    let Some(namespace) = Namespace::make("a") else {
        return;
    };
    for name in ["demo-site", "sip-in-clear-on-5061", "tcp-5061-refused", "stun-unanswered-3478"] {
        let path = capture(name);
        let topology = fixtures::folder().join(name).join("topology.toml");
        let topology = topology.display().to_string();
        let count = frames(&path).len().to_string();
        let watch = namespace.watch(&[
            "-t",
            &topology,
            "--stop-after",
            &format!("packets:{count}"),
            "--stop-after",
            "60s",
            "--format",
            "json",
        ]);
        namespace.replay(&path);
        let (output, said) = watch.finish();
        // Findings as they appear go to standard error, so that this is one document.
        let text = String::from_utf8(output.stdout).unwrap();
        let live: Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{said}"));
        let file = check(&path, &topology);
        let offline: Value = serde_json::from_slice(&file.stdout).unwrap();
        assert_eq!(findings(&live), findings(&offline), "{name}");
        assert_eq!(live["flows"], offline["flows"], "{name}");
        assert_eq!(output.status.code(), file.status.code(), "{name}: {said}");
        assert_eq!(live["captures"][0]["frames"].to_string(), count, "{name}");
    }
}

/// What is said of each exemption and each finding, without the times that a replay cannot keep.
fn grades(report: &Value) -> Vec<[&Value; 2]> {
    let list = |value: &'static str| report.pointer(value).unwrap().as_array().unwrap();
    let rows = list("/ipsec/exemptions").iter().map(|row| [&row["row"], &row["status"]]);
    let findings = list("/findings").iter().map(|one| [&one["rule"], &one["severity"]]);
    rows.chain(findings).collect()
}

#[test]
fn a_live_call_inside_ipsec_breaks_the_rows_that_its_file_breaks() {
    let Some(namespace) = Namespace::make("d") else {
        return;
    };
    for (name, delay) in
        [("ah-around-rtp-to-mediation", None), ("media-waits-for-ike", Some(250.0))]
    {
        let path = capture(name);
        let topology = fixtures::folder().join(name).join("topology.toml").display().to_string();
        let count = format!("packets:{}", frames(&path).len());
        let until = ["--stop-after", &count, "--stop-after", "60s"];
        let watch = namespace.watch(&[&["-t", &topology, "--format", "json"][..], &until].concat());
        namespace.replay_paced(&path);
        let (output, said) = watch.finish();
        let live: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}{said}", String::from_utf8_lossy(&output.stdout)));
        let file = check(&path, &topology);
        let offline: Value = serde_json::from_slice(&file.stdout).unwrap();
        assert_eq!(grades(&live), grades(&offline), "{name}: {said}");
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        // A sleeping replay lengthens the wait and never shortens it.
        let rows = live["ipsec"]["exemptions"].as_array().unwrap();
        let waits: Vec<f64> = rows.iter().filter_map(|row| row["delay_ms"].as_f64()).collect();
        assert_eq!(waits.is_empty(), delay.is_none(), "{name}: {waits:?}");
        assert!(waits.iter().all(|wait| Some(*wait) >= delay), "{name}: {waits:?}");
    }
}

#[test]
fn the_tail_is_read_before_the_report() {
    let Some(namespace) = Namespace::make("b") else {
        return;
    };
    let path = capture("demo-site");
    let watch = namespace.watch(&["--format", "json", "--stop-after", "60s"]);
    namespace.replay(&path);
    watch.terminate();
    let (output, said) = watch.finish();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{said}", String::from_utf8_lossy(&output.stdout)));
    assert_eq!(report["captures"][0]["frames"], frames(&path).len());
    assert_eq!(report["captures"][0]["dropped_by_capture"], 0);
    assert_eq!(report["captures"][0]["live"]["unread"], 0);
}

#[test]
fn an_idle_watch_ends_at_once_when_told() {
    let Some(namespace) = Namespace::make("c") else {
        return;
    };
    let watch = namespace.watch(&["--stop-after", "60s"]);
    let asked = Instant::now();
    watch.terminate();
    let (output, said) = watch.finish();
    assert!(asked.elapsed() < Duration::from_secs(3), "took {:?}", asked.elapsed());
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.lines().last().unwrap_or_default().contains("no packets"), "{said}");
}

#[test]
fn a_watch_that_cannot_start_says_why() {
    let output = Command::new(env!("CARGO_BIN_EXE_portassay"))
        .args(["watch", "-i", "no-such-if0", "--stop-after", "1s"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot capture on no-such-if0"), "{said}");
}

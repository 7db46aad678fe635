//! What `ip xfrm policy` prints, also with `-s`: the policies of the Linux kernel.
//!
//! A policy without a template lets traffic pass in clear. The first matching policy decides, that of the least
//! priority number. The mask of a port is not printed: `sport 49152` may mean a whole block.

use super::words;
use super::{Action, Addresses, ConnectionRule, Direction, Draft, Mode, Outcome, Reader};
use crate::policy::PortSet;
use crate::policy::boxes::Axis;

pub(super) const READER: Reader = Reader { name: "ip-xfrm", recognises, read };

fn recognises(text: &str) -> bool {
    let mut after_selector = false;
    text.lines().any(|line| {
        let found = after_selector && line.trim_start().starts_with("dir ");
        after_selector = line.starts_with("src ") && line.contains(" dst ");
        found
    })
}

fn read(text: &str, draft: &mut Draft) -> Outcome {
    let mut lines = text.lines().enumerate().peekable();
    let mut number = 0;
    while let Some((at, line)) = lines.next() {
        if !line.starts_with("src ") {
            if !line.trim().is_empty() {
                draft.strange("not a part of a policy", at + 1);
            }
            continue;
        }
        number += 1;
        let mut policy = Policy::new(line, number, at + 1);
        while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with(char::is_whitespace))
        {
            policy.read(line.trim());
        }
        match policy.direction {
            Some(way) => draft.push(policy.finish(way))?,
            None if policy.elsewhere => {
                draft.remark("policies of sockets and of forwarded traffic are left out: they are not the host's own");
            }
            None => draft.strange("a policy without a direction", at + 1),
        }
    }
    Ok(())
}

struct Policy<'t> {
    selector: &'t str,
    rule: ConnectionRule,
    direction: Option<Direction>,
    /// Of a socket, or of forwarded traffic.
    elsewhere: bool,
    template: bool,
    blocks: bool,
}

impl<'t> Policy<'t> {
    fn new(selector: &'t str, number: usize, at: usize) -> Self {
        let mut rule = ConnectionRule::new(format!("policy {number}"), at);
        rule.priority = Some(0);
        Self { selector, rule, direction: None, elsewhere: false, template: false, blocks: false }
    }

    fn read(&mut self, line: &str) {
        let after = |key: &str| {
            let mut words = line.split_whitespace();
            words.find(|word| *word == key)?;
            words.next()
        };
        if line.starts_with("tmpl ") {
            self.template = true;
        } else if line.starts_with("dir ") || line.starts_with("socket ") {
            match after("dir") {
                Some("out") => self.direction = Some(Direction::Out),
                Some("in") => self.direction = Some(Direction::In),
                _ => self.elsewhere = true,
            }
            self.blocks = after("action") == Some("block");
            if let Some(word) = after("priority") {
                match word.parse() {
                    Ok(priority) => self.rule.priority = Some(priority),
                    Err(_) => self.rule.doubt("priority"),
                }
            }
        } else if after("mode").is_some_and(|mode| mode != "transport") {
            self.rule.mode = Mode::Tunnel;
        }
        if after("level") == Some("use") {
            self.rule.remarks.push("clear packets are accepted as well".to_owned());
        }
    }

    fn finish(mut self, direction: Direction) -> ConnectionRule {
        let rule = &mut self.rule;
        rule.direction = direction;
        rule.action = match (self.blocks, self.template) {
            (true, _) => Action::Block,
            (false, true) => Action::Secure,
            (false, false) => Action::Exempt,
        };
        if rule.action != Action::Secure {
            rule.mode = Mode::Transport;
        }
        let [mut source, mut destination] = [Addresses::default(), Addresses::default()];
        let mut ports = [PortSet::any(), PortSet::any()];
        let mut words = self.selector.split_whitespace();
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            let understood = match key {
                "src" => source.read(value),
                "dst" => destination.read(value),
                "proto" => words::protocol(value).map(|protocol| rule.protocol = protocol).is_ok(),
                "sport" | "dport" => {
                    let slot = usize::from(key == "dport");
                    match (value.parse::<u16>(), ports.get_mut(slot)) {
                        (Ok(port), Some(set)) => {
                            *set = PortSet::new([(port, port)]);
                            true
                        }
                        _ => false,
                    }
                }
                "dev" => {
                    rule.limits.push(format!("the interface {value}"));
                    true
                }
                _ => true,
            };
            if !understood {
                // Which end is the host's depends on the direction, so both are doubted.
                let axes: &[Axis] = match key {
                    "src" | "dst" => &[Axis::Local, Axis::Remote],
                    "sport" | "dport" => &[Axis::LocalPort, Axis::RemotePort],
                    _ => &[Axis::Protocol],
                };
                for axis in axes {
                    rule.doubt_on(*axis, key);
                }
            }
        }
        let perhaps = ports.each_ref().map(block);
        let wider = perhaps != ports;
        let [source_ports, destination_ports] = ports;
        let [perhaps_source, perhaps_destination] = perhaps;
        let swap = direction == Direction::In;
        let order =
            |source, destination| if swap { [destination, source] } else { [source, destination] };
        [rule.local_ports, rule.remote_ports] = order(source_ports, destination_ports);
        rule.perhaps_ports = wider.then(|| order(perhaps_source, perhaps_destination));
        (rule.local, rule.remote) =
            if swap { (destination, source) } else { (source, destination) };
        self.rule
    }
}

/// The largest block that may stand behind a single port: every one whose first port it is.
fn block(ports: &PortSet) -> PortSet {
    match ports.ranges() {
        [(port, last)] if port == last => {
            let free = port.trailing_zeros().min(u16::BITS - 1);
            PortSet::new([(*port, port | ((1 << free) - 1))])
        }
        _ => ports.clone(),
    }
}

#[cfg(test)]
pub(super) const SAMPLE: &str = "\
src 0.0.0.0/0 dst 10.1.3.10/32 proto udp
\tdir out priority 183359 ptype main
src 10.1.3.10/32 dst 0.0.0.0/0 proto udp sport 49152 dport 5063
\tdir in action allow index 72 priority 183359 share any flag  (0x00000000)
\tlifetime config:
\t  limit: soft (INF)(bytes), hard (INF)(bytes)
src 0.0.0.0/0 dst 10.1.2.0/24
\tdir out priority 387711
\ttmpl src 0.0.0.0 dst 0.0.0.0
\t\tproto esp reqid 1 mode transport
\t\tlevel use share any
src 0.0.0.0/0 dst 192.0.2.0/24
\tdir out action block priority 5
src 0.0.0.0/0 dst 0.0.0.0/0
\tsocket in priority 0
";

#[cfg(test)]
mod tests {
    use crate::policy::exports::tests::export;

    use super::*;

    #[test]
    fn policies_are_rules() {
        let export = export(SAMPLE);
        let actions: Vec<Action> = export.rules.iter().map(|rule| rule.action).collect();
        assert_eq!(actions, [Action::Exempt, Action::Exempt, Action::Secure, Action::Block]);
        let [out, into, secure, _] = &export.rules[..] else { panic!("four rules") };
        assert_eq!(
            (out.direction, out.priority, out.protocol),
            (Direction::Out, Some(183_359), Some(17))
        );
        assert_eq!(out.remote.spans(), words::spans("10.1.3.10").unwrap());
        assert_eq!(into.direction, Direction::In);
        assert_eq!(
            into.remote.spans(),
            words::spans("10.1.3.10").unwrap(),
            "the sender is the peer"
        );
        assert_eq!(into.remote_ports.to_string(), "49152");
        let [local, remote] = into.perhaps_ports.as_ref().unwrap();
        assert_eq!((local.to_string(), remote.to_string()), ("5063".into(), "49152-65535".into()));
        assert!(out.perhaps_ports.is_none() && !out.uncertain());
        assert_eq!(secure.remarks, ["clear packets are accepted as well"]);
        assert!(export.notes[0].contains("sockets"));
        assert_eq!(export.in_force()[0].action, Action::Block, "the least number goes first");
    }

    #[test]
    fn tunnels_and_what_is_not_understood() {
        let text = "src x dst fd00::/64 proto strange sport 70000\n\tdir out priority none\n\ttmpl src ::1 dst ::2\n\t\tproto esp mode tunnel\nsrc ::/0 dst ::/0\n";
        let export = export(text);
        let [rule] = &export.rules[..] else { panic!("one rule") };
        assert!(!rule.between_hosts());
        let doubts: Vec<&str> = rule.doubts.iter().map(String::as_str).collect();
        assert_eq!(doubts, ["priority", "proto", "sport", "src"]);
        assert_eq!(export.notes, ["a policy without a direction: line 5"]);
    }

    #[test]
    fn a_port_may_stand_for_a_block() {
        for (port, last) in [(49152, 65535), (443, 443), (5060, 5063), (0, 32767)] {
            assert_eq!(block(&PortSet::new([(port, port)])), PortSet::new([(port, last)]));
        }
    }
}

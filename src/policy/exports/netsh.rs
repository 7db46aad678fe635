//! What `netsh advfirewall consec show rule name=all` prints, with `verbose` or without.
//!
//! It is made for people: alignment varies, lists wrap, a colon may be missing, and labels are in the display
//! language. A rule begins at the line above a line of dashes in any language. Where the labels are not
//! English, what the values alone show is taken, and the rest is doubtful.

use super::words;
use super::{Action, Addresses, ConnectionRule, Draft, Mode, Outcome, Profiles, Reader, Store};
use crate::policy::boxes::Axis;

pub(super) const READER: Reader = Reader { name: "netsh", recognises, read };

fn recognises(text: &str) -> bool {
    let mut before = "";
    text.lines().any(|line| {
        let found = is_rule_off(line) && !before.trim().is_empty();
        before = line;
        found || line.trim() == NO_RULES
    })
}

/// What netsh says when a host has no rules.
const NO_RULES: &str = "No rules match the specified criteria.";

/// The line below a rule's name.
fn is_rule_off(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 10 && line.bytes().all(|b| b == b'-')
}

/// What `monitor show consec` has lines of dashes below beside the names of rules.
const HEADINGS: [&str; 7] = [
    "Global Settings",
    "Domain Profile Settings",
    "Private Profile Settings",
    "Public Profile Settings",
    "Connection Security Rules",
    "Main Mode SA",
    "Quick Mode SA",
];

/// Whether a line above dashes begins a section that is no rule.
fn is_heading(title: &str) -> bool {
    let begins = |heading: &&str| {
        title.get(..heading.len()).is_some_and(|start| start.eq_ignore_ascii_case(heading))
    };
    HEADINGS.iter().any(begins)
}

/// A field of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Enabled,
    Profiles,
    Mode,
    Interfaces,
    Endpoint(usize),
    Port(usize),
    Protocol,
    Action,
    Source,
    /// It changes neither what is covered nor what is done.
    Irrelevant,
    /// A label that is not known.
    Strange,
}

/// The labels in English. Those that stand for several begin the longer ones.
const LABELS: &[(&str, Field)] = &[
    ("Rule Name", Field::Name),
    ("Enabled", Field::Enabled),
    ("Profiles", Field::Profiles),
    ("Mode", Field::Mode),
    ("InterfaceTypes", Field::Interfaces),
    ("Endpoint1", Field::Endpoint(0)),
    ("Endpoint2", Field::Endpoint(1)),
    ("Port1", Field::Port(0)),
    ("Port2", Field::Port(1)),
    ("Protocol", Field::Protocol),
    ("Action", Field::Action),
    ("Rule source", Field::Source),
    ("Description", Field::Irrelevant),
    ("Grouping", Field::Irrelevant),
    ("Type", Field::Irrelevant),
    ("ApplyAuthorization", Field::Irrelevant),
];

/// How the labels of authentication, cryptography and tunnels begin.
const IRRELEVANT: [&str; 8] =
    ["Auth1", "Auth2", "MainMode", "QuickMode", "LocalTunnel", "RemoteTunnel", "Exempt", "KeyM"];

/// One line of a rule, with what its continuation lines add.
#[derive(Debug)]
struct Line {
    at: usize,
    field: Field,
    items: Vec<String>,
}

fn read(text: &str, draft: &mut Draft) -> Outcome {
    let mut lines = text.lines().enumerate().peekable();
    let mut open: Option<Block> = None;
    while let Some((at, line)) = lines.next() {
        let title = lines.peek().is_some_and(|(_, next)| is_rule_off(next));
        if title && !line.trim().is_empty() {
            lines.next();
            close(open.take(), draft)?;
            let block = Block {
                name: split(line.trim()).1.to_owned(),
                at: at + 1,
                lines: Vec::new(),
                ended: false,
            };
            open = (!is_heading(line.trim())).then_some(block);
        } else if let Some(block) = &mut open {
            block.read(line, at + 1)?;
        }
    }
    close(open, draft)
}

/// A rule as it is printed.
#[derive(Debug)]
struct Block {
    name: String,
    at: usize,
    lines: Vec<Line>,
    /// An empty line was seen: what follows may be the closing word of the command.
    ended: bool,
}

impl Block {
    fn read(&mut self, line: &str, at: usize) -> Outcome {
        let indented = line.starts_with(char::is_whitespace);
        let line = line.trim();
        if line.is_empty() {
            self.ended = true;
            return Ok(());
        }
        let (field, value) = split(line);
        // A description may hold anything, also what looks like a field.
        let within = self.lines.last().is_some_and(|line| line.field == Field::Irrelevant);
        if indented && (within || field == Field::Strange) {
            // A list goes on. Lists of cryptography and of keys are nobody's business here.
            if let Some(last) = self.lines.last_mut()
                && !matches!(last.field, Field::Irrelevant | Field::Strange)
            {
                last.items.extend(items(line));
            }
        } else if field != Field::Strange || !self.is_closing_word(line) {
            let keep = !matches!(field, Field::Irrelevant);
            let items = if keep { items(value).collect() } else { Vec::new() };
            self.lines.push(Line { at, field, items });
        }
        if self.lines.len() > MAX_LINES {
            return Err(format!("its rule at line {} has more than {MAX_LINES} lines", self.at));
        }
        match self.lines.last() {
            Some(last) if last.items.len() > super::MAX_ITEMS => Err(format!(
                "a list at its line {} has more than {} items",
                last.at,
                super::MAX_ITEMS
            )),
            _ => Ok(()),
        }
    }
}

impl Block {
    /// Whether a line without a known label is what the command says at its end, such as `Ok.`
    fn is_closing_word(&self, line: &str) -> bool {
        let mut labels = self.lines.iter().map(|line| line.field);
        let acted = self.lines.iter().any(|line| line.field == Field::Action);
        let foreign = labels.all(|field| field == Field::Strange);
        self.ended || (!line.contains([':', '\u{ff1a}']) && (acted || foreign))
    }
}

/// The most lines that one rule may have.
const MAX_LINES: usize = 1_000;

/// Label and value; without a known label, what stands behind the colon.
fn split(line: &str) -> (Field, &str) {
    let behind = |label: &str| {
        let start = line.get(..label.len())?;
        let rest = line.get(label.len()..)?;
        let ends = rest.is_empty()
            || rest.starts_with([':', '\u{ff1a}'])
            || rest.starts_with(char::is_whitespace);
        (start.eq_ignore_ascii_case(label) && ends)
            .then(|| rest.trim_start().trim_start_matches([':', '\u{ff1a}']).trim())
    };
    if let Some((value, field)) =
        LABELS.iter().find_map(|(label, field)| Some((behind(label)?, *field)))
    {
        return (field, value);
    }
    let irrelevant = IRRELEVANT.iter().any(|label| {
        line.get(..label.len()).is_some_and(|start| start.eq_ignore_ascii_case(label))
    });
    let field = if irrelevant { Field::Irrelevant } else { Field::Strange };
    (field, line.split_once([':', '\u{ff1a}']).map_or(line, |(_, value)| value.trim()))
}

fn items(value: &str) -> impl Iterator<Item = String> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned)
}

fn close(block: Option<Block>, draft: &mut Draft) -> Outcome {
    let Some(block) = block else { return Ok(()) };
    let english =
        block.lines.iter().any(|line| matches!(line.field, Field::Endpoint(_) | Field::Action));
    let mut rule = ConnectionRule::new(block.name.clone(), block.at);
    rule.enabled = None;
    if english {
        let seen = |field| block.lines.iter().any(|line| line.field == field);
        if !(seen(Field::Action) && seen(Field::Endpoint(0)) && seen(Field::Endpoint(1))) {
            rule.doubt("a rule that breaks off");
        }
        for line in &block.lines {
            read_field(line, &mut rule, draft);
        }
        if rule.enabled.is_none() {
            rule.doubt("Enabled");
        }
    } else {
        rule.doubt("the language of the export");
        draft.remark(
            "some rules are in a language that is not read, and are counted on neither way: export with PowerShell, which speaks no language",
        );
        read_values(&block.lines, &mut rule);
    }
    draft.push(rule)
}

fn read_field(line: &Line, rule: &mut ConnectionRule, draft: &mut Draft) {
    let first = line.items.first().map_or("", String::as_str);
    let words = || line.items.iter().map(String::as_str);
    match line.field {
        Field::Enabled => rule.enabled = words::flag(first),
        Field::Profiles => {
            let mut all = Profiles::NONE;
            for word in words() {
                match Profiles::named(word) {
                    Some(profiles) => all = all.with(profiles),
                    None => rule.doubt_on(Axis::Profile, "Profiles"),
                }
            }
            if !all.is_empty() {
                rule.profiles = all;
            }
        }
        Field::Mode => match first {
            word if word.eq_ignore_ascii_case("Transport") => rule.mode = Mode::Transport,
            word if word.eq_ignore_ascii_case("Tunnel") => rule.mode = Mode::Tunnel,
            _ => rule.doubt("Mode"),
        },
        Field::Interfaces => {
            if !words().all(words::is_any) {
                rule.limits.push(format!("interfaces of the type {}", line.items.join(", ")));
            }
        }
        Field::Endpoint(end) => {
            let (addresses, understood) = addresses(words());
            if end == 0 {
                rule.local = addresses;
            } else {
                rule.remote = addresses;
            }
            if !understood {
                let axis = if end == 0 { Axis::Local } else { Axis::Remote };
                rule.doubt_on(axis, if end == 0 { "Endpoint1" } else { "Endpoint2" });
            }
        }
        Field::Port(end) => {
            let (ports, strange) = words::ports(words());
            if !strange.is_empty() || ports.is_empty() {
                let axis = if end == 0 { Axis::LocalPort } else { Axis::RemotePort };
                rule.doubt_on(axis, if end == 0 { "Port1" } else { "Port2" });
            }
            if end == 0 { rule.local_ports = ports } else { rule.remote_ports = ports }
        }
        Field::Protocol => match words::protocol(first) {
            Ok(protocol) => rule.protocol = protocol,
            Err(()) => rule.doubt_on(Axis::Protocol, "Protocol"),
        },
        Field::Action => rule.action = action(first),
        Field::Source => {
            let local = first.eq_ignore_ascii_case("Local Setting");
            rule.store = if local { Store::Local } else { Store::GroupPolicy };
        }
        Field::Strange => {
            draft.strange("a field of a rule that is not known", line.at);
            // What is covered stands before the action; behind it are authentication and cryptography.
            if rule.action == Action::Unknown {
                rule.doubt("a field that is not known");
            }
        }
        Field::Name | Field::Irrelevant => {}
    }
}

fn addresses<'a>(items: impl Iterator<Item = &'a str>) -> (Addresses, bool) {
    let mut addresses = Addresses::default();
    let (mut understood, mut empty) = (true, true);
    for item in items {
        understood &= addresses.read(item);
        empty = false;
    }
    if empty || !understood { (Addresses::any(), false) } else { (addresses, true) }
}

fn action(word: &str) -> Action {
    const SECURING: [&str; 6] = [
        "RequireInRequestOut",
        "RequestInRequestOut",
        "RequireInRequireOut",
        "RequireInClearOut",
        "RequestInClearOut",
        "RequireInAllowOut",
    ];
    if word.eq_ignore_ascii_case("NoAuthentication") {
        Action::Exempt
    } else if SECURING.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        Action::Secure
    } else {
        Action::Unknown
    }
}

/// What the values show where labels do not: two endpoints, two ports and one of TCP and UDP in a row. The
/// word for any is one that stands for an endpoint and for a port alike.
fn read_values(lines: &[Line], rule: &mut ConnectionRule) {
    let mut found = lines.windows(6).filter_map(|window| {
        let [one, two, port_one, port_two, protocol, act] = window else { return None };
        let [Some(protocol), None] = [protocol.items.first(), protocol.items.get(1)] else {
            return None;
        };
        let protocol = words::protocol(protocol).ok()?.filter(|number| matches!(number, 6 | 17))?;
        let spelled = |line: &Line, other: &Line| {
            let word = line.items.first()?;
            (line.items.len() == 1 && other.items.first() == Some(word)).then(|| word.clone())
        };
        let any = [(one, port_one), (one, port_two), (two, port_one), (two, port_two)]
            .into_iter()
            .find_map(|(end, port)| spelled(end, port));
        let is_any = |line: &Line| any.is_some() && line.items.first() == any.as_ref();
        let end = |line: &Line| {
            if is_any(line) {
                return Some(Addresses::any());
            }
            let (addresses, understood) = addresses(line.items.iter().map(String::as_str));
            understood.then_some(addresses)
        };
        let port = |line: &Line| {
            if is_any(line) {
                return Some(crate::policy::PortSet::any());
            }
            let (ports, strange) = words::ports(line.items.iter().map(String::as_str));
            (strange.is_empty() && !ports.is_empty()).then_some(ports)
        };
        let act = action(act.items.first().map_or("", String::as_str));
        Some((protocol, end(one)?, end(two)?, port(port_one)?, port(port_two)?, act))
    });
    let (Some((protocol, local, remote, local_ports, remote_ports, action)), None) =
        (found.next(), found.next())
    else {
        return;
    };
    rule.protocol = Some(protocol);
    (rule.local, rule.remote) = (local, remote);
    (rule.local_ports, rule.remote_ports) = (local_ports, remote_ports);
    rule.action = action;
}

#[cfg(test)]
pub(super) const SAMPLE: &str = "
Rule Name:                            SfB-5/6 Mediation UDP
----------------------------------------------------------------------
Description:                          media: leave it, alone
Enabled:                              Yes
Profiles:                             Domain,Private,Public
Type:                                 Static
Mode:                                 Transport
InterfaceTypes:                       LAN
Endpoint1:                            Any
Endpoint2:                            10.1.3.10/32
                                      10.1.3.11-10.1.3.12
                                      fd00::/64
Port1:                                Any
Port2:                                49152-57500
                                      60000
Protocol:                             UDP
Action:                               NoAuthentication
Rule source:                          Local Setting
ApplyAuthorization:                   No

Rule Name:Isolation
----------------------------------------------------------------------
Enabled                 No
Profiles:Domain
Mode:                                 Transport
Endpoint1:                            Any
Endpoint2:                            Any
Protocol:                             Any
Action:                               RequireInRequestOut
Auth1:                                ComputerPSK
Auth1PSK:                             do-not-show
MainModeSecMethods:                   DHGroup2-AES128-SHA1
                                      do-not-show-either
Ok.

";

#[cfg(test)]
mod tests {
    use crate::policy::exports::tests::export;

    use super::*;

    #[test]
    fn rules_are_read_however_they_are_set() {
        let export = export(SAMPLE);
        let [media, isolation] = &export.rules[..] else { panic!("{:?}", export.rules) };
        assert_eq!((media.name.as_str(), media.at), ("SfB-5/6 Mediation UDP", 2));
        assert_eq!(
            (media.action, media.protocol, media.store),
            (Action::Exempt, Some(17), Store::Local)
        );
        assert_eq!(media.remote.spans().len(), 2, "neighbours are joined: {:?}", media.remote);
        assert_eq!(media.remote_ports.to_string(), "49152-57500,60000");
        assert_eq!(media.limits, ["interfaces of the type LAN"]);
        assert!(!media.uncertain(), "{:?}", media.doubts);
        assert_eq!((isolation.name.as_str(), isolation.action), ("Isolation", Action::Secure));
        assert_eq!((isolation.enabled, isolation.profiles.spans()), (Some(false), vec![(0, 0)]));
        assert!(!format!("{export:?}").contains("do-not-show"), "keys are not kept");
        assert_eq!(
            super::super::tests::export("\nNo rules match the specified criteria.\n\n").rules,
            []
        );
    }

    const MONITOR: &str = "
Global Settings:
----------------------------------------------------------------------
IPsec:
StrongCRLCheck                        0:Disabled
SAIdleTimeMin                         5min
DefaultExemptions                     NeighborDiscovery,DHCP
IPsecThroughNAT                       Never

StatefulFTP                           Enable

Main Mode:
KeyLifetime                           480min,0sess
SecMethods                            DHGroup2-AES128-SHA1,DHGroup2-3DES-SHA1
";

    #[test]
    fn settings_above_the_rules_are_no_rule() {
        let rules = export(SAMPLE).rules;
        let monitored = export(&format!("{MONITOR}{SAMPLE}"));
        assert_eq!(monitored.notes, export(SAMPLE).notes);
        let moved = MONITOR.lines().count();
        let places: Vec<usize> = monitored.rules.iter().map(|rule| rule.at).collect();
        assert_eq!(places, rules.iter().map(|rule| rule.at + moved).collect::<Vec<_>>());
        assert_eq!(export(MONITOR).rules, [], "a host without rules");
        let named = SAMPLE.replace("Isolation", "Global Settings:");
        assert_eq!(export(&named).rules.len(), 2, "a rule may be called so");
    }

    const FOREIGN: &str = "
규칙 이름:                            SfB 미디어
----------------------------------------------------------------------
사용:                                 예
프로필:                               도메인,개인,공용
모드:                                 전송
끝점1:                                모두
끝점2:                                10.1.3.10/32
포트1:                                모두
포트2:                                49152-57500
프로토콜:                             UDP
동작:                                 NoAuthentication
확인됨
";

    #[test]
    fn another_language_is_read_as_far_as_values_show() {
        let export = export(FOREIGN);
        let [rule] = &export.rules[..] else { panic!("{:?}", export.rules) };
        assert_eq!((rule.name.as_str(), rule.protocol), ("SfB 미디어", Some(17)));
        assert_eq!(
            (rule.action, rule.remote_ports.to_string().as_str()),
            (Action::Exempt, "49152-57500")
        );
        assert!(rule.local.is_any() && !rule.remote.is_any());
        assert!(rule.uncertain() && rule.enabled.is_none(), "whether it is on, nobody can tell");
        assert!(export.notes[0].contains("language"), "{:?}", export.notes);
        let other = FOREIGN.replace("포트1:                                모두", "포트1:  전부");
        let rule = &super::super::tests::export(&other).rules[0];
        assert!(
            rule.remote.is_any() && rule.protocol.is_none(),
            "a word seen once may mean anything"
        );
    }

    #[test]
    fn what_is_not_known_makes_a_rule_doubtful() {
        let strange = SAMPLE
            .replace("Mode:      ", "Shape:     ")
            .replace("RequireInRequestOut", "Something");
        let export = export(&strange);
        assert!(export.rules[0].doubts.contains("a field that is not known"));
        assert_eq!(export.rules[1].action, Action::Unknown);
        assert_eq!(export.notes, ["a field of a rule that is not known: lines 8, 26"]);
        let spoofed =
            SAMPLE.replace("leave it, alone\n", "leave it\n      Action: RequireInRequestOut\n");
        assert_eq!(super::super::tests::export(&spoofed).rules[0].action, Action::Exempt);
        let cut = SAMPLE.split("Protocol:").next().unwrap();
        assert!(
            super::super::tests::export(cut).rules[0].doubts.contains("a rule that breaks off")
        );
    }
}

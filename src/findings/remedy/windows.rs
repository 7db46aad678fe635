//! Connection security rules that exempt, as commands of Windows: PowerShell and netsh.
//!
//! Port ranges are allowed in rules that do not authenticate, and only there. The local address is the
//! first endpoint, the remote one the second.

use super::{End, Rule};
use crate::decode::Transport;

/// The group of the rules, by which they are found again and taken back.
pub const GROUP: &str = "portassay exemptions";

/// The command of PowerShell that makes a rule, with further parameters such as its store.
pub fn powershell(rule: &Rule<'_>, parameters: &str) -> String {
    let hosts = list(rule.hosts.iter().map(|host| quoted(&host.to_string())));
    let ports = list(port_items(rule).into_iter().map(|port| quoted(&port)));
    let [local, remote] = by_end(rule.end, "Any", &hosts);
    let mut words = vec![format!(
        "New-NetIPsecRule{parameters} -DisplayName {} -InboundSecurity None -OutboundSecurity None \
         -LocalAddress {local} -RemoteAddress {remote}",
        quoted(&rule.name),
    )];
    if let Some(transport) = rule.transport {
        words.push(format!("-Protocol {}", protocol(transport).to_uppercase()));
    }
    if has_ports(rule) {
        let [local, remote] = by_end(rule.end, "Any", &ports);
        words.push(format!("-LocalPort {local} -RemotePort {remote}"));
    }
    words.join(" ")
}

/// The command of netsh that makes a rule.
pub fn netsh(rule: &Rule<'_>) -> String {
    let hosts: Vec<String> = rule.hosts.iter().map(ToString::to_string).collect();
    let hosts = if hosts.is_empty() { "any".to_owned() } else { hosts.join(",") };
    let [first, second] = by_end(rule.end, "any", &hosts);
    let transport = rule.transport.map_or_else(|| "any".to_owned(), protocol);
    let mut words = vec![format!(
        "netsh advfirewall consec add rule name={} endpoint1={first} endpoint2={second} \
         action=noauthentication protocol={transport}",
        netsh_name(&rule.name),
    )];
    if has_ports(rule) {
        let ports = port_items(rule);
        let ports = if ports.is_empty() { "any".to_owned() } else { ports.join(",") };
        let [first, second] = by_end(rule.end, "any", &ports);
        words.push(format!("port1={first} port2={second}"));
    }
    words.join(" ")
}

/// Text as PowerShell takes it word for word: in single quotes, each of which is doubled inside. It takes
/// typographic ones for the same. What would end the line or act on it is left out.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars().filter(|c| !acts(*c)) {
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('\'');
    out
}

/// Text as a name in netsh, also where cmd reads the line first: in double quotes, without what cmd
/// would expand or what would end the quotes.
pub fn netsh_name(text: &str) -> String {
    let safe = |c: char| match c {
        '"' | '\u{201c}'..='\u{201f}' => '\'',
        '%' | '!' | '^' | '\\' => '_',
        c if acts(c) => '_',
        c => c,
    };
    format!("\"{}\"", text.chars().map(safe).collect::<String>())
}

/// Whether a character acts on the text around it: ends the line, or turns the direction of writing, so
/// that a command would look like another one.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// What stands at the local and at the remote end.
fn by_end<'t>(end: End, anyone: &'t str, role: &'t str) -> [&'t str; 2] {
    match end {
        End::Peer => [anyone, role],
        End::Own => [role, anyone],
    }
}

/// TCP and UDP by name, others by number.
fn protocol(transport: Transport) -> String {
    match transport {
        Transport::TCP | Transport::UDP => transport.to_string(),
        Transport(number) => number.to_string(),
    }
}

fn has_ports(rule: &Rule<'_>) -> bool {
    matches!(rule.transport, Some(Transport::TCP | Transport::UDP))
}

/// Ports and ranges; none means any.
fn port_items(rule: &Rule<'_>) -> Vec<String> {
    let ranges = rule.ports.map_or(&[][..], |ports| ports.ranges());
    let item = |&(first, last): &(u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(item).collect()
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "Any".to_owned() } else { items.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::remedy::Prefix;
    use crate::policy::PortSet;

    fn prefix(address: &str, length: u8) -> Prefix {
        Prefix { address: address.parse().unwrap(), length }
    }

    fn rule<'e>(end: End, hosts: &'e [Prefix], ports: Option<&'e PortSet>) -> Rule<'e> {
        Rule {
            name: "X05+X06 Mediation Server udp".into(),
            end,
            transport: Some(Transport::UDP),
            hosts,
            ports,
        }
    }

    #[test]
    fn the_ports_stay_at_the_end_of_the_role() {
        let hosts = [prefix("10.0.1.31", 32), prefix("fd00::31", 128), prefix("10.0.4.0", 24)];
        let ports = PortSet::new([(49152, 57500), (443, 443)]);
        let peer = rule(End::Peer, &hosts, Some(&ports));
        assert_eq!(
            powershell(&peer, ""),
            "New-NetIPsecRule -DisplayName 'X05+X06 Mediation Server udp' -InboundSecurity None \
             -OutboundSecurity None -LocalAddress Any -RemoteAddress \
             '10.0.1.31','fd00::31','10.0.4.0/24' -Protocol UDP -LocalPort Any -RemotePort \
             '443','49152-57500'"
        );
        assert_eq!(
            netsh(&peer),
            "netsh advfirewall consec add rule name=\"X05+X06 Mediation Server udp\" endpoint1=any \
             endpoint2=10.0.1.31,fd00::31,10.0.4.0/24 action=noauthentication protocol=udp \
             port1=any port2=443,49152-57500"
        );
        let own = rule(End::Own, &hosts[..1], Some(&ports));
        assert!(powershell(&own, " -PolicyStore $store").starts_with(
            "New-NetIPsecRule -PolicyStore $store -DisplayName 'X05+X06 Mediation Server udp' "
        ));
        assert!(powershell(&own, "").ends_with(
            "-LocalAddress '10.0.1.31' -RemoteAddress Any -Protocol UDP -LocalPort \
             '443','49152-57500' -RemotePort Any"
        ));
        assert!(netsh(&own).ends_with(
            "endpoint1=10.0.1.31 endpoint2=any action=noauthentication protocol=udp \
             port1=443,49152-57500 port2=any"
        ));
    }

    #[test]
    fn without_ports_or_transport_nothing_is_made_up() {
        let any = Rule { transport: None, ..rule(End::Peer, &[], None) };
        assert!(powershell(&any, "").ends_with("-LocalAddress Any -RemoteAddress Any"));
        assert!(
            netsh(&any)
                .ends_with("endpoint1=any endpoint2=any action=noauthentication protocol=any")
        );
        let sctp = Rule { transport: Some(Transport(132)), ..rule(End::Peer, &[], None) };
        assert!(powershell(&sctp, "").ends_with("-Protocol 132"));
        let strict = rule(End::Own, &[], None);
        assert!(netsh(&strict).ends_with("protocol=udp port1=any port2=any"));
    }

    #[test]
    fn hostile_names_stay_names() {
        assert_eq!(quoted("it's \u{202e}"), "'it''s '");
        assert_eq!(quoted("a\u{2019}; Stop-Computer #"), "'a\u{2019}\u{2019}; Stop-Computer #'");
        assert_eq!(quoted("$(x)`\r\nRemove-Item"), "'$(x)`Remove-Item'");
        assert_eq!(netsh_name("a\" & del %TEMP% ^ !x!\n\\"), "\"a' & del _TEMP_ _ _x___\"");
    }
}

//! The interfaces of this host, and why one of them cannot be captured on.

use crate::error::Error;
use crate::input::filter::message;
use pcap::Device;
use std::net::IpAddr;

/// An interface that could be captured on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What the system says about it.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it is up.
    pub state: LinkState,
}

/// Whether an interface is switched on and has a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// It is.
    Up,
    /// It is not.
    Down,
}

impl From<Device> for Interface {
    fn from(device: Device) -> Self {
        let state = state(&device);
        Self {
            name: device.name,
            description: device.desc,
            addresses: device.addresses.into_iter().map(|address| address.addr).collect(),
            state,
        }
    }
}

/// Whether an interface is switched on and has a carrier; None when there is no such interface.
pub(super) fn link_state(interface: &str) -> Option<LinkState> {
    let devices = Device::list().ok()?;
    let device = devices.iter().find(|device| device.name == interface)?;
    Some(state(device))
}

fn state(device: &Device) -> LinkState {
    if device.flags.is_up() && device.flags.is_running() { LinkState::Up } else { LinkState::Down }
}

/// Says why an interface cannot be captured on, and what to do about it.
pub(super) fn refusal(interface: &str, error: pcap::Error) -> Error {
    let said = message(error);
    let names: Vec<String> = Device::list()
        .map(|devices| devices.into_iter().map(|device| device.name).collect())
        .unwrap_or_default();
    Error::Capture { interface: interface.to_owned(), why: explain(interface, &said, &names) }
}

fn explain(interface: &str, said: &str, names: &[String]) -> String {
    let lower = said.to_ascii_lowercase();
    if lower.contains("no such device") && !names.iter().any(|name| name == interface) {
        return format!("there is no such interface, but there are: {}", names.join(", "));
    }
    if lower.contains("permission") || lower.contains("not permitted") {
        return "it needs the capability CAP_NET_RAW; use sudo, or grant it once with \
                `sudo setcap cap_net_raw+ep \"$(command -v portassay)\"`"
            .to_owned();
    }
    if lower.contains("not up") {
        return format!("it is down; `sudo ip link set {interface} up` brings it up");
    }
    said.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let names = ["eth0".to_owned(), "lo".to_owned()];
        let why = explain("eth9", "eth9: No such device exists (No such device)", &names);
        assert_eq!(why, "there is no such interface, but there are: eth0, lo");
        let why = explain("eth0", "eth0: You don't have permission to capture", &names);
        assert!(why.contains("CAP_NET_RAW") && why.contains("setcap cap_net_raw+ep"), "{why}");
        let why = explain("eth0", "eth0: That device is not up", &names);
        assert!(why.contains("`sudo ip link set eth0 up`"), "{why}");
        assert_eq!(explain("eth0", "something new", &names), "something new");
    }
}

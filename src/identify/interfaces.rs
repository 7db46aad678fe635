//! Interfaces of DCE/RPC by name: what a Windows service is called that is only known by a number.
//!
//! C706 appendix O for the endpoint mapper, MS-DCOM 1.9, and the section "Standards Assignments" of the
//! document of each other protocol.

use std::borrow::Cow;

/// The text of an interface's number, from bytes whose first three fields have the low byte first.
pub(super) fn spelled(id: [u8; 16]) -> String {
    let number = u128::from_be_bytes(id);
    let first = ((number >> 96) as u32).swap_bytes();
    let [second, third] = [80, 64].map(|shift| ((number >> shift) as u16).swap_bytes());
    let (fourth, node) = ((number >> 48) as u16, number as u64 & 0xffff_ffff_ffff);
    format!("{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{node:012x}")
}

/// The name of an interface where it is well known, else its number.
pub(super) fn named(id: String) -> Cow<'static, str> {
    match INTERFACES.binary_search_by_key(&id.as_str(), |(known, _)| known) {
        Ok(at) => INTERFACES.get(at).map_or(id.into(), |(_, name)| (*name).into()),
        Err(_) => id.into(),
    }
}

/// By number.
const INTERFACES: [(&str, &str); 38] = [
    ("00000131-0000-0000-c000-000000000046", "remote-unknown"),
    ("00000143-0000-0000-c000-000000000046", "remote-unknown-2"),
    ("000001a0-0000-0000-c000-000000000046", "remote-activation"),
    ("12345678-1234-abcd-ef00-0123456789ab", "spoolss"),
    ("12345678-1234-abcd-ef00-01234567cffb", "netlogon"),
    ("12345778-1234-abcd-ef00-0123456789ab", "lsarpc"),
    ("12345778-1234-abcd-ef00-0123456789ac", "samr"),
    ("1ff70682-0a51-30e8-076d-740be8cee98b", "atsvc"),
    ("338cd001-2244-31f1-aaaa-900038001003", "winreg"),
    ("367abb81-9844-35f1-ad32-98f038001003", "svcctl"),
    ("378e52b0-c0a9-11cf-822d-00aa0051e40f", "sasec"),
    ("3919286a-b10c-11d0-9ba8-00c04fd92ef5", "dssetup"),
    ("45f52c28-7f9f-101a-b52b-08002b2efabe", "winsif"),
    ("4b324fc8-1670-01d3-1278-5a47bf6ee188", "srvsvc"),
    ("4d9f4ab8-7d1c-11cf-861e-0020af6e7c57", "activation"),
    ("4fc742e0-4a10-11cf-8273-00aa004ae673", "netdfs"),
    ("50abc2a4-574d-40b3-9d66-ee4fd5fba076", "dnsserver"),
    ("5b821720-f63b-11d0-aad2-00c04fc324db", "dhcpsrv2"),
    ("6bffd098-a112-3610-9833-012892020162", "browser"),
    ("6bffd098-a112-3610-9833-46c3f87e345a", "wkssvc"),
    ("76f03f96-cdfd-44fc-a22c-64950a001209", "iremotewinspool"),
    ("82273fdc-e32a-18c3-3f78-827929dc23ea", "eventlog"),
    ("86d35949-83c9-4044-b424-db363231fd0c", "task-scheduler"),
    ("897e2e5f-93f3-4376-9c9c-fd2277495c27", "frstrans"),
    ("8d9f4e40-a03d-11ce-8f69-08003e30051b", "pnp"),
    ("906b0ce0-c70b-1067-b317-00dd010662da", "msdtc"),
    ("91ae6020-9e3c-11cf-8d7c-00aa00c091be", "icertpassage"),
    ("9556dc99-828c-11cf-a37e-00aa003240c7", "wmi-services"),
    ("99fdcfc4-5260-101b-bbcb-00aa0021347a", "oxid-resolver"),
    ("d049b186-814f-11d1-9a3c-00c04fc9b232", "ntfrsapi"),
    ("d4781cd6-e5d3-44df-ad94-930efe48a887", "wmi-login-client"),
    ("d99e6e70-fc88-11d0-b498-00a0c90312f3", "icertrequest"),
    ("df1941c5-fe89-4e79-bf10-463657acf44d", "efsrpc"),
    ("e1af8308-5d1f-11c9-91a4-08002b14a0fa", "endpoint-mapper"),
    ("e3514235-4b06-11d1-ab04-00c04fc2dcd2", "drsuapi"),
    ("f309ad18-d86a-11d0-a075-00c04fb68820", "wmi-login"),
    ("f5cc59b4-4264-101a-8c59-08002b2f8426", "frsrpc"),
    ("f6beaff7-1e19-4fbb-9f8f-b89e2018337c", "eventlog6"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_and_found() {
        assert!(INTERFACES.is_sorted_by_key(|(id, _)| id));
        let samr = [
            0x78, 0x57, 0x34, 0x12, 0x34, 0x12, 0xcd, 0xab, 0xef, 0, 1, 0x23, 0x45, 0x67, 0x89,
            0xac,
        ];
        assert_eq!(named(spelled(samr)), "samr");
        let other = [0xff; 16];
        assert_eq!(named(spelled(other)), "ffffffff-ffff-ffff-ffff-ffffffffffff");
    }
}

//! Every normative row, asked about the way a firewall administrator would: what obeys it is
//! explained by it, and what breaks one of its fields is not.

use std::fmt::Write;

use portassay::decode::Transport;
use portassay::policy::explain::{RowFilter, Tuple};
use portassay::policy::{Class, Expectation, ExpectationId, Layer, Policy, Profile, builtin};

const PACKS: [&str; 3] = ["servers", "load-balancers", "clients"];

/// Roles whose pools stand behind a load balancer in the tables.
const BALANCED: [&str; 3] = ["front-end", "director", "mediation"];

/// Rows that strictly explain nothing without their content: the cookie of DHCP, and file transfer
/// on any port.
const CONTENT_ALONE: [&str; 3] = ["C01", "C10", "C12"];

/// A site with one host of every role, and a virtual address for every balanced one.
fn site(strict: bool, profile: Profile) -> Policy {
    let bare = Policy::compile(&builtin::layers(), None, profile, strict).unwrap();
    let mut text = String::new();
    let others = bare.roles().iter().filter(|role| role.name != "load-balancer");
    for (n, role) in others.enumerate() {
        let name = &role.name;
        writeln!(
            text,
            "[[host]]\nname = \"{name}\"\naddresses = [\"10.0.{n}.1\"]\nroles = [\"{name}\"]"
        )
        .unwrap();
    }
    for (n, role) in BALANCED.iter().enumerate() {
        writeln!(
            text,
            "[[host]]\nname = \"vip-{role}\"\naddresses = [\"10.1.{n}.1\"]\n\
             roles = [\"load-balancer\"]\nbalances = \"{role}\""
        )
        .unwrap();
    }
    let topology = Layer::named("site.toml", &text);
    Policy::compile(&builtin::layers(), Some(&topology), profile, strict).unwrap()
}

fn normative(policy: &Policy) -> Vec<(ExpectationId, Expectation)> {
    PACKS
        .iter()
        .flat_map(|pack| {
            let filter = RowFilter { pack: Some(pack), ..RowFilter::default() };
            policy.rows(&filter).unwrap().into_iter().map(|(id, row)| (id, row.clone()))
        })
        .collect()
}

/// A tuple that does what the row says, on its lowest or highest port.
fn obeying(policy: &Policy, id: ExpectationId, row: &Expectation, last: bool) -> Tuple {
    let first_role = |set| policy.role_names(set).first().map(|name| (*name).to_owned());
    let balanced = first_role(policy.balanced_roles(id)).map(|role| format!("vip-{role}"));
    let range = if last { row.ports.ranges().last() } else { row.ports.ranges().first() };
    let port = range.map(|(low, high)| if last { *high } else { *low });
    let from_port = row.from_ports.as_ref().and_then(|ports| ports.ranges().first()).map(|r| r.0);
    Tuple {
        transport: Transport(*row.transports.first().unwrap()),
        from: Some(first_role(row.from).unwrap_or_else(|| "client".to_owned())),
        from_port,
        to: balanced.or_else(|| first_role(row.to)),
        port,
    }
}

#[test]
fn what_obeys_a_row_is_explained_by_it() {
    let mut asked = 0;
    for profile in [Profile::Sfb2015, Profile::Sfb2019] {
        for strict in [false, true] {
            let policy = site(strict, profile);
            for (id, row) in normative(&policy) {
                for last in [false, true] {
                    let tuple = obeying(&policy, id, &row, last);
                    let verdict = policy.explain_tuple(&tuple).unwrap().verdict;
                    let rows: Vec<&str> = verdict
                        .expectation
                        .iter()
                        .chain(&verdict.others)
                        .map(|id| policy.expectation(*id).id.as_str())
                        .collect();
                    let said =
                        format!("{} {tuple:?} strict {strict}: {verdict:?} {rows:?}", row.id);
                    asked += 1;
                    if strict && CONTENT_ALONE.contains(&row.id.as_str()) {
                        assert!(!rows.contains(&row.id.as_str()), "{said}");
                        continue;
                    }
                    match verdict.class {
                        // Only content tells media in a wide range from anything else.
                        Class::RangeUnconfirmed => assert!(row.is_wide(), "{said}"),
                        Class::Unexpected => assert!(row.is_wide() && row.media, "{said}"),
                        Class::PortOnly if row.is_wide() => {
                            assert!(!rows.contains(&row.id.as_str()), "{said}");
                        }
                        class => {
                            assert_eq!(class, Class::PortOnly, "{said}");
                            assert!(rows.contains(&row.id.as_str()), "{said}");
                        }
                    }
                }
            }
        }
    }
    assert!(asked > 300, "only {asked} questions asked");
}

#[test]
fn what_breaks_a_field_of_a_row_is_not_explained_by_it() {
    let policy = site(false, Profile::Sfb2019);
    for (id, row) in normative(&policy) {
        let good = obeying(&policy, id, &row, false);
        let outside = (1..=u16::MAX).find(|port| !row.ports.contains(*port)).unwrap();
        let other = [Transport::TCP, Transport::UDP, Transport::SCTP]
            .into_iter()
            .find(|transport| !row.transports.contains(&transport.0))
            .unwrap();
        let mut broken = vec![
            Tuple { port: Some(outside), ..good.clone() },
            Tuple { transport: other, ..good.clone() },
        ];
        if !policy.role_names(row.to).is_empty() {
            broken.push(Tuple { to: Some("sql".to_owned()), ..good.clone() });
        }
        if !policy.role_names(row.from).is_empty() {
            broken.push(Tuple { from: Some("dhcp".to_owned()), ..good.clone() });
        }
        for tuple in broken {
            let verdict = policy.explain_tuple(&tuple).unwrap().verdict;
            let explained = verdict.expectation.iter().chain(&verdict.others).any(|by| *by == id);
            let all_servers = row.id == "S01" || row.id == "S39" || row.id == "S38";
            assert!(!explained || all_servers, "{}: {tuple:?}: {verdict:?}", row.id);
        }
    }
}

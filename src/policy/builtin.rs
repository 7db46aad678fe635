//! The packs that come with the program, as text. They are data in the form of a user's own file.

use super::layer::Layer;

/// What the layer of every built-in pack is called.
pub const LAYER: &str = "built-in";

/// File name and text of every pack, in layer order. The first declares the roles.
pub const PACKS: &[(&str, &str)] = &[
    ("base.toml", include_str!("packs/base.toml")),
    ("servers.toml", include_str!("packs/servers.toml")),
    ("load-balancers.toml", include_str!("packs/load-balancers.toml")),
    ("clients.toml", include_str!("packs/clients.toml")),
    ("ipsec-exemptions.toml", include_str!("packs/ipsec-exemptions.toml")),
    ("edge.toml", include_str!("packs/edge.toml")),
    ("web.toml", include_str!("packs/web.toml")),
    ("sql.toml", include_str!("packs/sql.toml")),
    ("infrastructure.toml", include_str!("packs/infrastructure.toml")),
    ("fabric.toml", include_str!("packs/fabric.toml")),
    ("neighbours.toml", include_str!("packs/neighbours.toml")),
];

/// The built-in packs as layers.
pub fn layers() -> Vec<Layer> {
    PACKS.iter().map(|(file, text)| Layer::builtin(file, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, Profile};

    #[test]
    fn every_edition_and_reading_of_the_packs_compiles() {
        for profile in [Profile::Sfb2015, Profile::Sfb2019] {
            for strict in [false, true] {
                let policy = match Policy::compile(&layers(), None, profile, strict) {
                    Ok(policy) => policy,
                    Err(error) => panic!("{error}"),
                };
                assert!(policy.find("s03").is_some());
                assert_eq!(policy.exemptions().len(), 15);
            }
        }
    }
}

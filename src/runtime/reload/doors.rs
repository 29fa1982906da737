//! Doors of services' own, as a reload finds them: opened with the runtime, closed with it, and moved by nothing in between.
//! So a service that is gone leaves an open door, at which whoever comes is told that there is no such service, and one that
//! comes back finds its door open. Pure.

use std::collections::BTreeMap;

use greenroom_actors::{
    ids::ServiceName,
    spec::{ListenAddress, RuntimeSpec, ServiceSpec},
};

/// Where the doors are that are open, by whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDoors(BTreeMap<ServiceName, ListenAddress>);

impl OwnDoors {
    /// Those that a runtime has opened that was started with `spec`.
    #[must_use]
    pub fn of(spec: &RuntimeSpec) -> Self {
        let door = |service: &ServiceSpec| service.door.listen.clone().map(|address| (service.name.clone(), address));
        Self(spec.services.iter().filter_map(door).collect())
    }

    /// The keys for which `wanted` has another door than the one that is open: one that is to be opened, closed, or opened
    /// elsewhere. In the order of the names.
    #[must_use]
    pub fn next_start(&self, wanted: &RuntimeSpec) -> Vec<String> {
        let wanted = Self::of(wanted);
        let names = self.0.keys().chain(wanted.0.keys().filter(|name| !self.0.contains_key(*name)));
        let mut differing: Vec<&ServiceName> = names.filter(|name| self.0.get(*name) != wanted.0.get(*name)).collect();
        differing.sort_unstable();
        differing.into_iter().map(|name| format!("service.{name}.listen")).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Sources, load_text};

    /// Services by name, each with the port of its door where it has one.
    fn spec(services: &[(&str, Option<u16>)]) -> RuntimeSpec {
        let text = |(name, port): &(&str, Option<u16>)| {
            let door = port.map(|port| format!("listen = \"127.0.0.1:{port}\"\n")).unwrap_or_default();
            format!("[service.{name}]\ncommand = [\"/bin/sleep\", \"${{port}}\"]\n{door}")
        };
        let text: String = services.iter().map(text).collect();
        let sources = Sources { env: vec![("HOME".to_owned(), "/".to_owned())], ..Sources::default() };
        load_text("greenroom.toml", &text, Path::new("/"), &sources).unwrap_or_else(|errors| panic!("{errors}")).spec
    }

    #[test]
    fn a_door_that_is_not_as_it_is_wanted_waits_for_the_next_start() {
        let open = OwnDoors::of(&spec(&[("a", Some(1)), ("b", Some(2)), ("c", None)]));
        for (wanted, told) in [
            (&[("a", Some(1)), ("b", Some(2)), ("c", None)][..], &[][..]),
            (&[("b", Some(2)), ("a", Some(1))], &[]),
            (&[("a", Some(1)), ("b", Some(3))], &["b"]),
            (&[("a", Some(1)), ("b", None)], &["b"]),
            (&[("a", Some(1))], &["b"]),
            (&[("b", Some(2)), ("c", Some(4)), ("d", Some(5))], &["a", "c", "d"]),
            // Each has the other's.
            (&[("a", Some(2)), ("b", Some(1))], &["a", "b"]),
        ] {
            let keys: Vec<String> = told.iter().map(|name| format!("service.{name}.listen")).collect();
            assert_eq!(open.next_start(&spec(wanted)), keys, "{wanted:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn nothing_is_told_exactly_where_all_doors_are_as_they_are_wanted(
            open in prop::collection::btree_map("[a-c]", 1u16..3, 0..3),
            wanted in prop::collection::btree_map("[a-c]", 1u16..3, 0..3),
        ) {
            let doors = |ports: &BTreeMap<String, u16>| {
                let door = |(name, port): (&String, &u16)| {
                    let address = ListenAddress::Tcp(([127, 0, 0, 1], *port).into());
                    (name.parse::<ServiceName>().expect("a name"), address)
                };
                OwnDoors(ports.iter().map(door).collect())
            };
            let mut built = spec(&[("a", None), ("b", None), ("c", None)]);
            for service in &mut built.services {
                service.door.listen = doors(&wanted).0.get(&service.name).cloned();
            }
            prop_assert_eq!(doors(&open).next_start(&built).is_empty(), open == wanted);
        }
    }
}

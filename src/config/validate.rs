//! What no key says alone: services that need one another, share a port or a name. Pure.

mod names;

use std::collections::{BTreeMap, HashMap};

use greenroom_actors::spec::{ListenAddress, PortSpec, RuntimeSpec};

use super::{
    effective::Effective,
    problem::Problem,
    source::Span,
    suggest::nearest,
    tree::{Node, dotted},
};

/// Everything that is wrong between the parts of a configuration.
#[must_use]
pub fn validate(effective: &Effective, spec: &RuntimeSpec) -> Vec<Problem> {
    let check = Check { effective };
    [
        check.dependencies(spec),
        check.cycles(spec),
        check.ports(spec),
        names::own(&check),
        names::of_workers(&check, spec),
        names::of_clients(&check),
        names::default_model(&check),
        check.remotes(),
        check.doors(spec),
        check.log_level(),
    ]
    .concat()
}

struct Check<'a> {
    effective: &'a Effective,
}

impl Check<'_> {
    fn error(&self, span: Span, message: String, help: impl Into<String>) -> Problem {
        self.effective.sources().error(span, message).help(help)
    }

    fn span(&self, path: &[&str]) -> Span {
        self.effective.get(path).map(|node| node.span).or_else(|| self.effective.mention(path)).unwrap_or_default()
    }

    fn text(&self, path: &[&str]) -> &str {
        self.effective.get(path).and_then(Node::text).unwrap_or_default()
    }

    /// Every dependency is a service, and another one.
    fn dependencies(&self, spec: &RuntimeSpec) -> Vec<Problem> {
        let names: Vec<&str> = spec.services.iter().map(|service| service.name.as_str()).collect();
        let mut problems = Vec::new();
        for service in &names {
            for (other, node) in self.effective.below(&["service", service, "depends_on"]) {
                let span = self.effective.mention(&["service", service, "depends_on", other]).unwrap_or(node.span);
                if other == *service {
                    problems.push(self.error(span, format!("service `{service}` depends on itself"), "remove it"));
                } else if !names.contains(&other) {
                    let help = match nearest(other, names.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("services are: {}", names.join(", ")),
                    };
                    let message = format!("service `{service}` depends on `{other}`, which is no service");
                    problems.push(self.error(span, message, help));
                }
            }
        }
        problems
    }

    /// Each circle of dependencies once, at the first service in it.
    fn cycles(&self, spec: &RuntimeSpec) -> Vec<Problem> {
        let graph: BTreeMap<&str, Vec<&str>> = spec
            .services
            .iter()
            .map(|s| (s.name.as_str(), s.depends_on.iter().map(|d| d.service.as_str()).collect()))
            .collect();
        let circles = circles(spec.services.iter().map(|s| s.name.as_str()), &graph);
        let problem = |circle: Vec<&str>| {
            let (first, next) = (circle[0], circle.get(1).copied().unwrap_or(circle[0]));
            let span = self.span(&["service", first, "depends_on", next]);
            let span = self.effective.mention(&["service", first, "depends_on", next]).unwrap_or(span);
            let message = format!("dependency cycle: {} -> {first}", circle.join(" -> "));
            self.error(span, message, "none of them could ever start: remove one of these dependencies")
        };
        circles.into_iter().filter(|circle| circle.len() > 1).map(problem).collect()
    }

    /// No two services have one fixed port.
    fn ports(&self, spec: &RuntimeSpec) -> Vec<Problem> {
        let mut owners: HashMap<u16, &str> = HashMap::new();
        let mut problems = Vec::new();
        for service in &spec.services {
            let (Some(PortSpec::Fixed(port)), name) = (service.port, service.name.as_str()) else { continue };
            match owners.get(&port) {
                Some(owner) => {
                    let message = format!("services `{owner}` and `{name}` have one port, {port}");
                    let span = self.span(&["service", name, "port"]);
                    problems.push(self.error(span, message, "give one of them another, or 0 for an assigned one"));
                }
                None => drop(owners.insert(port, name)),
            }
        }
        problems
    }

    /// A remote is somewhere.
    fn remotes(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, span) in self.effective.names("remote") {
            let path = ["remote", name, "urls"];
            let urls = self.effective.get(&path).map(Node::items).unwrap_or_default();
            if urls.is_empty() && !self.effective.is_faulty(&path) {
                let message = format!("remote `{name}` has no `urls`");
                problems.push(self.error(span, message, "add urls = [\"https://host:7860\"]"));
            }
        }
        problems
    }

    /// No service has the port of the gateway, or of a service's own door.
    fn doors(&self, spec: &RuntimeSpec) -> Vec<Problem> {
        let of_services = spec.services.iter().filter_map(|service| {
            let key = ["service".to_owned(), service.name.to_string(), "listen".to_owned()];
            Some((dotted(&key), service.door.listen.as_ref()?))
        });
        let doors = spec.gateway.listen.iter().map(|door| ("gateway.listen".to_owned(), door)).chain(of_services);
        let doors = doors.filter_map(|(key, door)| match door {
            ListenAddress::Tcp(address) => Some((address.port(), key)),
            ListenAddress::Unix(_) => None,
        });
        let doors: HashMap<u16, String> = doors.collect();
        let taken = spec.services.iter().filter_map(|service| match service.port {
            Some(PortSpec::Fixed(port)) => Some((service.name.as_str(), port, doors.get(&port)?)),
            _ => None,
        });
        let problem = |(name, port, door): (&str, u16, &String)| {
            let message = format!("service `{name}` and `{door}` have one port, {port}");
            self.error(self.span(&["service", name, "port"]), message, "give one of them another")
        };
        taken.map(problem).collect()
    }

    /// `log.level` is a word, or a filter of `target=word`.
    fn log_level(&self) -> Vec<Problem> {
        let level = self.text(&["log", "level"]);
        let words = ["error", "warn", "info", "debug", "trace", "off"];
        let is_word = |text: &str| words.contains(&text.to_ascii_lowercase().as_str());
        let wrong = level.split(',').map(str::trim).find(|part| {
            !is_word(part) && !part.split_once('=').is_some_and(|(target, word)| !target.is_empty() && is_word(word))
        });
        let Some(wrong) = wrong else { return Vec::new() };
        let help = match nearest(wrong, words) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write one of {}, or a filter such as \"info,greenroom=debug\"", words.join(", ")),
        };
        vec![self.error(self.span(&["log", "level"]), format!("`log.level`: `{wrong}` is no level"), help)]
    }
}

/// The circles of a graph, each once and from the node of it that comes first in `nodes`. Iterative, so that a chain
/// of any length fits the stack.
fn circles<'a>(nodes: impl Iterator<Item = &'a str>, graph: &BTreeMap<&'a str, Vec<&'a str>>) -> Vec<Vec<&'a str>> {
    let mut done: HashMap<&str, bool> = HashMap::new();
    let mut circles = Vec::new();
    for start in nodes {
        let mut trail: Vec<(&str, usize)> = Vec::new();
        if !done.contains_key(start) {
            done.insert(start, false);
            trail.push((start, 0));
        }
        while let Some((node, next)) = trail.last_mut() {
            let node = *node;
            let Some(other) = graph.get(node).and_then(|list| list.get(*next)).copied() else {
                done.insert(node, true);
                trail.pop();
                continue;
            };
            *next += 1;
            match done.get(other) {
                // Not a node of its own: another check's matter.
                _ if !graph.contains_key(other) => {}
                None => {
                    done.insert(other, false);
                    trail.push((other, 0));
                }
                // It is on the trail: from there to here is a circle.
                Some(false) => {
                    let from = trail.iter().position(|(name, _)| *name == other).unwrap_or(0);
                    circles.push(trail[from..].iter().map(|(name, _)| *name).collect());
                }
                Some(true) => {}
            }
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found<'a>(edges: &[(&'a str, &[&'a str])]) -> Vec<String> {
        let graph: BTreeMap<_, _> = edges.iter().map(|(name, others)| (*name, others.to_vec())).collect();
        circles(edges.iter().map(|(name, _)| *name), &graph).iter().map(|c| c.join(">")).collect()
    }

    #[test]
    fn circles_are_found_and_diamonds_are_not() {
        assert_eq!(found(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])]), ["a>b>c"]);
        assert_eq!(found(&[("x", &["a"]), ("a", &["b"]), ("b", &["a"])]), ["a>b"]);
        assert_eq!(found(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &["nowhere"])]), [""; 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_graph_has_a_circle_if_and_only_if_it_cannot_be_put_in_order(
            edges in prop::collection::vec((0usize..8, 0usize..8), 0..16),
        ) {
            const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
            let mut graph: BTreeMap<&str, Vec<&str>> = NAMES.iter().map(|name| (*name, Vec::new())).collect();
            for (from, to) in edges {
                graph.entry(NAMES[from]).or_default().push(NAMES[to]);
            }
            // Kahn's: take away what depends on nothing that is left, until nothing can be taken.
            let mut left = graph.clone();
            while let Some(free) = left.iter().find(|(_, on)| on.iter().all(|o| !left.contains_key(o))).map(|(n, _)| *n) {
                left.remove(free);
            }
            prop_assert_eq!(circles(NAMES.into_iter(), &graph).is_empty(), left.is_empty());
        }
    }
}

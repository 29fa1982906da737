//! Actors of the runtime that do not answer. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    docket::Docket,
    level::{Ladder, Reading},
};
use crate::{
    event::Severity,
    units::format_duration,
    watchdog::{alerts::ACTOR_SILENT, deed::Alert, sample::ActorSample},
};

/// Actors that a message names; the others are counted.
const NAMED: usize = 8;

/// What is remembered of the actors, one entry for each that there is.
#[derive(Debug, Default)]
pub struct ActorsWatch {
    actors: BTreeMap<String, Ladder>,
    /// Those that have been told.
    told: BTreeSet<String>,
}

impl ActorsWatch {
    /// Judges a sample: one that has been waited for longer than `bound` in two samples in a row is silent.
    pub fn look(&mut self, actors: &[ActorSample], bound: Duration, docket: &mut Docket<'_>) {
        self.actors.retain(|name, _| actors.iter().any(|actor| actor.name == *name));
        for actor in actors {
            let reading = Reading::holds(!actor.answered && actor.lag >= bound);
            // Looked up first: a name is copied only for one that is new.
            match self.actors.get_mut(&actor.name) {
                Some(ladder) => {
                    let _change = ladder.step(reading);
                }
                None => {
                    let mut ladder = Ladder::default();
                    let _change = ladder.step(reading);
                    self.actors.insert(actor.name.clone(), ladder);
                }
            }
        }
        let silent: BTreeSet<&String> =
            self.actors.iter().filter(|(_, ladder)| ladder.level() > 0).map(|(name, _)| name).collect();
        if silent.is_empty() {
            if !std::mem::take(&mut self.told).is_empty() {
                docket.clear(ACTOR_SILENT, None);
            }
            return;
        }
        if silent.iter().any(|name| !self.told.contains(*name)) {
            let longest = actors.iter().filter(|a| silent.contains(&a.name)).map(|a| a.lag).max().unwrap_or_default();
            let message = format!(
                "no answer from {} for {}: what depends on it waits; the log of the runtime says what it did last, and a \
                 bundle holds it; if it stays so, restart the runtime",
                names(&silent),
                format_duration(Duration::from_secs(longest.as_secs())),
            );
            let alert = Alert { alert: ACTOR_SILENT, severity: Severity::Critical, service: None, message };
            docket.raise([alert], None);
            self.told = silent.into_iter().cloned().collect();
        }
    }
}

/// `a, b and 3 others`.
fn names(silent: &BTreeSet<&String>) -> String {
    let named: Vec<&str> = silent.iter().take(NAMED).map(|name| name.as_str()).collect();
    match silent.len().saturating_sub(named.len()) {
        0 => named.join(", "),
        others => format!("{} and {others} others", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        os::clock,
        watchdog::{deed::Deed, judge::standing::Standing},
    };

    fn actor(name: &str, lag: u64, answered: bool) -> ActorSample {
        ActorSample { name: name.to_owned(), lag: Duration::from_secs(lag), answered }
    }

    fn look(watch: &mut ActorsWatch, standing: &mut Standing, actors: &[ActorSample]) -> Vec<Deed> {
        let mut docket = Docket::new(clock::now(), standing, &[]);
        watch.look(actors, Duration::from_secs(5), &mut docket);
        docket.deeds()
    }

    #[test]
    fn silent_ones_are_named_once_and_again_when_there_are_more() {
        let (mut watch, mut standing) = (ActorsWatch::default(), Standing::default());
        let mut told = |actors: &[ActorSample]| look(&mut watch, &mut standing, actors);
        assert_eq!(told(&[actor("jobs", 6, false), actor("orchestrator", 9, true)]), []);
        let deeds = told(&[actor("jobs", 8, false), actor("orchestrator", 0, true)]);
        let [Deed::Raise(alert)] = &deeds[..] else { panic!("{deeds:?}") };
        assert!(alert.message.starts_with("no answer from jobs for 8s:"), "{}", alert.message);
        assert_eq!(told(&[actor("jobs", 10, false), actor("orchestrator", 6, false)]), []);
        let deeds = told(&[actor("jobs", 12, false), actor("orchestrator", 8, false)]);
        let [Deed::Raise(alert)] = &deeds[..] else { panic!("{deeds:?}") };
        assert!(alert.message.starts_with("no answer from jobs, orchestrator for 12s:"), "{}", alert.message);
        let well = [actor("jobs", 0, true), actor("orchestrator", 0, true)];
        assert_eq!((told(&well), told(&well)), (vec![], vec![]));
        assert_eq!(told(&well), [Deed::Clear { alert: ACTOR_SILENT, service: None }]);
        assert_eq!(told(&well), []);
    }

    #[test]
    fn one_that_is_no_more_is_not_waited_for() {
        let (mut watch, mut standing) = (ActorsWatch::default(), Standing::default());
        for lag in [6, 8] {
            look(&mut watch, &mut standing, &[actor("service chat", lag, false)]);
        }
        let deeds = look(&mut watch, &mut standing, &[]);
        assert_eq!(deeds, [Deed::Clear { alert: ACTOR_SILENT, service: None }]);
        assert!(watch.actors.is_empty() && watch.told.is_empty());
    }
}

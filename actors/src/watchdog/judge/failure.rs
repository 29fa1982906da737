//! Failures of programs that go on running, as others have seen them. Pure.
//!
//! Within one run each class of failure acts once, however often it is repeated. `restart_once` is held against a restart
//! loop: the same class again, before it has been away for `restart.reset_after`, restarts nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::docket::Docket;
use crate::{
    event::Severity,
    failure::{FailureAction, FailureClass},
    ids::{RunId, ServiceName},
    plain::is_acted_on,
    process_supervisor::messages::Sentence,
    state::ServiceState,
    units::format_duration,
    watchdog::{
        deed::{Alert, Deed},
        sample::Sample,
    },
    witness::{FailureSeen, SeenIn},
};

/// A run that comes after a failure and has been ready for this long is a sound one, for the alert.
const SOUND: Duration = Duration::from_secs(30);
/// Characters of a line of output that a message repeats.
const LINE: usize = 200;

/// Failures that have been seen: one entry for each service and class, until it has been away for as long as
/// `restart.reset_after`. Bounded by the configuration.
#[derive(Debug, Default)]
pub struct Failures(BTreeMap<(ServiceName, &'static str), Seen>);

#[derive(Debug)]
struct Seen {
    run: RunId,
    last: Instant,
    reset_after: Duration,
    /// When it was restarted for this class last.
    restarted: Option<Instant>,
    /// A later run, and since when it has been ready.
    after: Option<(RunId, Instant)>,
}

impl Failures {
    /// Judges a failure. `has_job`: whether a job works with the service, which then sees to the action itself.
    pub fn seen(&mut self, seen: &FailureSeen, reset_after: Duration, has_job: bool, docket: &mut Docket<'_>) {
        let (at, name) = (docket.at, seen.class.name());
        let key = (seen.service.clone(), name);
        let away = |known: &Seen| at.saturating_duration_since(known.last) >= reset_after;
        if let Some(known) = self.0.get_mut(&key)
            && known.run == seen.run
            && !away(known)
        {
            known.last = known.last.max(at);
            return;
        }
        // A restart that is still to be remembered.
        let before = self.0.get(&key).filter(|known| !away(known)).and_then(|known| known.restarted);
        let sees_to_it = has_job || matches!(seen.seen, SeenIn::Job(_));
        let action = if sees_to_it { FailureAction::None } else { seen.action };
        let suppressed = action == FailureAction::RestartOnce && before.is_some();
        if suppressed || !docket.stands(name, Some(&seen.service)) {
            docket.raise([alert(seen, sees_to_it, suppressed, reset_after)], Some(seen.class));
        }
        let restarts = matches!(action, FailureAction::Restart | FailureAction::RestartOnce) && !suppressed;
        let restarted = if restarts { Some(at) } else { before };
        self.0.insert(key, Seen { run: seen.run, last: at, reset_after, restarted, after: None });
        if !suppressed {
            docket.deeds_for(seen, action);
        }
    }

    /// Forgets what has been away for long enough, and clears what is over.
    pub fn look(&mut self, sample: &Sample, docket: &mut Docket<'_>) {
        let at = sample.at;
        for seen in &sample.services {
            for ((_, class), known) in self.of(&seen.spec.name) {
                if seen.run == known.run || seen.state != ServiceState::Ready {
                    known.after = None;
                    continue;
                }
                let since = known.after.filter(|(run, _)| *run == seen.run).map_or(at, |(_, since)| since);
                known.after = Some((seen.run, since));
                if at.saturating_duration_since(since) >= SOUND.min(known.reset_after) {
                    docket.clear(class, Some(&seen.spec.name));
                }
            }
        }
        self.0.retain(|(service, class), known| {
            let keep = at.saturating_duration_since(known.last) < known.reset_after;
            if !keep {
                docket.clear(class, Some(service));
            }
            keep
        });
    }

    /// What is known of one service.
    fn of<'a>(
        &'a mut self,
        service: &ServiceName,
    ) -> impl Iterator<Item = (&'a (ServiceName, &'static str), &'a mut Seen)> + use<'a> {
        let first = (service.clone(), "");
        let wanted = service.clone();
        self.0.range_mut(first..).take_while(move |((name, _), _)| *name == wanted)
    }

    /// Failures of which anything is remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Docket<'_> {
    fn deeds_for(&mut self, seen: &FailureSeen, action: FailureAction) {
        let sentence = match action {
            FailureAction::None => return,
            FailureAction::RestartOnce | FailureAction::Restart => Sentence::Restart,
            FailureAction::Stop => Sentence::Stop,
            FailureAction::Quarantine => Sentence::Quarantine,
        };
        self.push(Deed::Condemn {
            service: seen.service.clone(),
            run: seen.run,
            class: seen.class,
            reason: format!("{}: {}", seen.class.name(), shown(&seen.line)),
            at_once: false,
            sentence,
        });
    }
}

/// What is told about it.
fn alert(seen: &FailureSeen, sees_to_it: bool, suppressed: bool, reset_after: Duration) -> Alert {
    let place = match seen.seen {
        SeenIn::Output => "its output says".to_owned(),
        SeenIn::Answer(status) => format!("an answer of status {status} says"),
        SeenIn::Job(id) => format!("job {id} says"),
    };
    let then = match seen.action {
        _ if suppressed => format!(
            "it was restarted for this and is not restarted for it again before it has been free of it for {}: the cause is \
             in what it is asked, in its model or in its options",
            format_duration(reset_after)
        ),
        _ if sees_to_it => "the job sees to it".to_owned(),
        FailureAction::None => "its health decides what becomes of it".to_owned(),
        FailureAction::RestartOnce | FailureAction::Restart => "it is restarted".to_owned(),
        FailureAction::Stop => "it is stopped and stays down".to_owned(),
        FailureAction::Quarantine => format!(
            "it is stopped and in quarantine: `greenroom reset {}` or a changed configuration lets it out",
            seen.service
        ),
    };
    let message = format!("{}; {place} `{}`; {then}", what(seen.class), shown(&seen.line));
    Alert { alert: seen.class.name(), severity: severity(seen.class), service: Some(seen.service.clone()), message }
}

/// The class in words.
fn what(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Nan => "it computes not-a-number, and may go on so until it is restarted",
        FailureClass::OomGpu => "the memory of its card ran out",
        FailureClass::OomHost => "its host memory ran out",
        FailureClass::PortInUse => "its port is in use",
        FailureClass::MissingCommand => "a program is not there",
        FailureClass::MissingLibrary => "a library is not there",
        FailureClass::BadModel => "its model file cannot be read",
        FailureClass::Driver => "the driver of its card failed",
        FailureClass::Timeout => "it did not answer in time",
        FailureClass::Killed => "a part of it was killed",
        FailureClass::Exit => "a part of it ended",
        FailureClass::Unknown => "it failed",
    }
}

fn severity(class: FailureClass) -> Severity {
    match class {
        FailureClass::Nan | FailureClass::OomGpu | FailureClass::OomHost | FailureClass::Driver => Severity::Critical,
        FailureClass::PortInUse
        | FailureClass::MissingCommand
        | FailureClass::MissingLibrary
        | FailureClass::BadModel
        | FailureClass::Timeout
        | FailureClass::Killed
        | FailureClass::Exit
        | FailureClass::Unknown => Severity::Warning,
    }
}

/// A line as a message may repeat it between back quotes: shortened, and without anything that does something to a terminal.
fn shown(line: &str) -> String {
    let clean = line.trim().chars().map(|c| match c {
        '`' => '\'',
        c if is_acted_on(c) => ' ',
        c => c,
    });
    let mut shown: String = clean.clone().take(LINE).collect();
    if clean.count() > LINE {
        shown.push('…');
    }
    shown
}

//! Failures of programs that go on running, as others have seen them. Pure.
//!
//! Within one run each class of failure acts once, however often it is repeated. What a job meets is the job's to see to, and
//! is no act: whoever comes upon it in the same run later, and is no job, has it acted upon. `restart_once` is held against a
//! restart loop: the same class again, before it has been away for `restart.reset_after`, restarts nothing.

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
/// How long the last lines about a failure that a job has met may be on their way. What comes within this time after it, of
/// whatever class, is the job's: a second failure of a job is the job's own, and costs nobody a run.
const LAST_LINES: Duration = Duration::from_secs(5);
/// Characters of a line of output that a message repeats.
const LINE: usize = 200;

/// Failures that have been seen: one entry for each service and class, until it has been away for as long as
/// `restart.reset_after`. Bounded by the configuration.
#[derive(Debug, Default)]
pub struct Failures(BTreeMap<(ServiceName, &'static str), Seen>);

#[derive(Debug)]
struct Seen {
    run: RunId,
    /// What was made of it in that run.
    course: Course,
    last: Instant,
    reset_after: Duration,
    /// When it was restarted for this class last.
    restarted: Option<Instant>,
    /// A later run, and since when it has been ready.
    after: Option<(RunId, Instant)>,
}

/// What was made of a class of failure in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// It was told at most; nothing was to be done.
    Told,
    /// A job sees to what befalls this run, and has met something last then.
    LeftToJob(Instant),
    /// It was acted upon, or not for the sake of an earlier act: nothing more follows.
    Over,
}

impl Course {
    /// After one more in the same run, about which this is to be done. `met`: when a job met something in this run last, if
    /// this is still the job's. What turns it [over](Self::Over) is to be acted upon.
    fn and_then(self, action: FailureAction, met: Option<Instant>) -> Self {
        match (self, met, action) {
            (Self::Over, ..) => Self::Over,
            (Self::Told | Self::LeftToJob(_), Some(met), _) => Self::LeftToJob(met),
            (Self::Told | Self::LeftToJob(_), None, FailureAction::None) => self,
            (
                Self::Told | Self::LeftToJob(_),
                None,
                FailureAction::RestartOnce | FailureAction::Restart | FailureAction::Stop | FailureAction::Quarantine,
            ) => Self::Over,
        }
    }
}

impl Failures {
    /// Judges a failure. `has_job`: whether a job works with the service, which then sees to the action itself.
    pub fn seen(&mut self, seen: &FailureSeen, reset_after: Duration, has_job: bool, docket: &mut Docket<'_>) {
        let (at, name) = (docket.at, seen.class.name());
        let key = (seen.service.clone(), name);
        let met = self.met(seen, has_job, at);
        let sees_to_it = met.is_some();
        let known = self.0.get_mut(&key).filter(|known| !known.is_away(at));
        let was_left = known.as_ref().is_some_and(|known| matches!(known.course, Course::LeftToJob(_)));
        // A restart that is still to be remembered.
        let before = known.as_ref().and_then(|known| known.restarted);
        let course = match known.filter(|known| known.run == seen.run) {
            None => Course::Told.and_then(seen.action, met),
            Some(known) => {
                let course = known.course.and_then(seen.action, met);
                let acts = course == Course::Over && known.course != Course::Over;
                (known.course, known.last) = (course, known.last.max(at));
                if !acts {
                    return;
                }
                course
            }
        };
        let action = if sees_to_it { FailureAction::None } else { seen.action };
        let suppressed = action == FailureAction::RestartOnce && before.is_some();
        // What stands says that a job sees to it.
        let is_otherwise = was_left && course == Course::Over;
        if suppressed || is_otherwise || !docket.stands(name, Some(&seen.service)) {
            docket.raise([alert(seen, sees_to_it, suppressed, reset_after)], Some(seen.class));
        }
        let restarts = matches!(action, FailureAction::Restart | FailureAction::RestartOnce) && !suppressed;
        let restarted = if restarts { Some(at) } else { before };
        self.0.insert(key, Seen { run: seen.run, course, last: at, reset_after, restarted, after: None });
        if !suppressed {
            docket.deeds_for(seen, action);
        }
    }

    /// When a job met something in this run last, if what was seen now is the job's.
    fn met(&mut self, seen: &FailureSeen, has_job: bool, at: Instant) -> Option<Instant> {
        if has_job || matches!(seen.seen, SeenIn::Job(_)) {
            return Some(at);
        }
        let left = self.of(&seen.service).filter(|(_, known)| known.run == seen.run).filter_map(|(_, known)| {
            let Course::LeftToJob(met) = known.course else { return None };
            (at.saturating_duration_since(met) < LAST_LINES).then_some(met)
        });
        left.max()
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
            let keep = !known.is_away(at);
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

impl Seen {
    /// Whether it has been away for as long as its service needs to count as healthy; `reset_after` as it was then.
    fn is_away(&self, at: Instant) -> bool {
        at.saturating_duration_since(self.last) >= self.reset_after
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
            "it is stopped and in quarantine: `greenroom start {}` or a changed configuration lets it out",
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

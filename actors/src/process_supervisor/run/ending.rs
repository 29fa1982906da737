//! How a run is ended: request, signal, once more, kill, and at last the admission that something is stuck. Pure.
//!
//! The owner looks at the run, calls [`Ending::step`] with what it sees, does what that says, and comes back at
//! [`Ending::next_look`] or when the main process ends. A kill is repeated at every look until nothing is left: a
//! process that was just being born into the containment may have missed the one before.

use std::time::{Duration, Instant};

use crate::{ids::Pid, units::format_duration};

/// From the kill until what is left is called stuck. A killed tree of a thousand processes is gone after 60 ms. A little
/// under 2 s, so that whoever asked for the stop has the answer within the grace and 2 s.
pub const STUCK_AFTER: Duration = Duration::from_millis(1800);
/// Pause between looks while the end is near: begins at the first, doubles to the second.
const LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// From the main process's end until what is left gets the signal once more. A process that was just being born when the
/// first one went round has missed it, and would wait for the kill.
const ONCE_MORE: Duration = Duration::from_millis(50);
/// Pause between looks at something stuck.
const STUCK_LOOKS: Duration = Duration::from_millis(500);

/// What is to be done to end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Make the service's own request to stop.
    Ask,
    /// Send the stop signal to the whole tree.
    Signal,
    /// Kill the whole tree.
    Kill,
    /// Tell that it is being killed.
    TellKilling,
    /// Tell that it is stuck.
    TellStuck,
}

/// What can be seen of the run.
#[derive(Debug, Clone, Copy)]
pub struct Sight {
    /// Now.
    pub now: Instant,
    /// The main process has ended and been waited for.
    pub main_gone: bool,
    /// Nobody is in the containment.
    pub empty: bool,
}

/// The way to the end.
#[derive(Debug, Clone)]
pub struct Ending {
    kill_at: Instant,
    /// Send the signal a second time this long after the first.
    second_signal: Option<Duration>,
    phase: Phase,
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing done yet.
    Fresh { ask: bool },
    /// It has its own request, and until then to follow it.
    Asked { signal_at: Instant },
    /// It has the signal, and gets it again at `again_at`. `alone` once the main process was seen to be gone.
    Signalled { again_at: Option<Instant>, alone: bool },
    /// It is being killed.
    Killing { since: Instant },
    /// [`STUCK_AFTER`] later something is still there.
    Stuck,
}

impl Ending {
    /// An end with a grace: everything is killed at `kill_at`. `ask` says whether there is a request to make first.
    #[must_use]
    pub fn new(kill_at: Instant, ask: bool, second_signal: Option<Duration>) -> Self {
        Self { kill_at, second_signal, phase: Phase::Fresh { ask }, pause: LOOKS.0 }
    }

    /// Ends the grace at `kill_at` if that is earlier.
    pub fn hurry(&mut self, kill_at: Instant) {
        self.kill_at = self.kill_at.min(kill_at);
    }

    /// The request could not be made, so the signal follows at once.
    pub fn refused(&mut self, now: Instant) {
        if let Phase::Asked { signal_at } = &mut self.phase {
            *signal_at = now;
        }
    }

    /// Whether it took a kill.
    #[must_use]
    pub fn has_killed(&self) -> bool {
        matches!(self.phase, Phase::Killing { .. } | Phase::Stuck)
    }

    /// What is to be done now.
    pub fn step(&mut self, sight: Sight) -> Vec<Act> {
        let Sight { now, main_gone, empty } = sight;
        if main_gone && empty {
            return Vec::new();
        }
        if main_gone || self.has_killed() {
            self.pause = (self.pause * 2).min(LOOKS.1);
        }
        match self.phase {
            Phase::Killing { since } if now >= since + STUCK_AFTER => {
                self.phase = Phase::Stuck;
                vec![Act::Kill, Act::TellStuck]
            }
            Phase::Killing { .. } | Phase::Stuck => vec![Act::Kill],
            _ if now >= self.kill_at => {
                self.phase = Phase::Killing { since: now };
                self.pause = LOOKS.0;
                vec![Act::Kill, Act::TellKilling]
            }
            Phase::Fresh { ask: true } => {
                // Half of the grace for the request, half for the signal.
                self.phase = Phase::Asked { signal_at: now + (self.kill_at - now) / 2 };
                vec![Act::Ask]
            }
            Phase::Fresh { ask: false } => self.signal(now),
            Phase::Asked { signal_at } if now >= signal_at => self.signal(now),
            Phase::Signalled { alone: false, .. } if main_gone => {
                self.phase = Phase::Signalled { again_at: Some(now + ONCE_MORE), alone: true };
                Vec::new()
            }
            Phase::Signalled { again_at: Some(at), alone } if now >= at => {
                self.phase = Phase::Signalled { again_at: None, alone };
                vec![Act::Signal]
            }
            Phase::Asked { .. } | Phase::Signalled { .. } => Vec::new(),
        }
    }

    fn signal(&mut self, now: Instant) -> Vec<Act> {
        self.phase = Phase::Signalled { again_at: self.second_signal.map(|wait| now + wait), alone: false };
        vec![Act::Signal]
    }

    /// When to look again, unless the main process ends earlier.
    #[must_use]
    pub fn next_look(&self, sight: Sight) -> Instant {
        let pause = sight.now + self.pause;
        let planned = match self.phase {
            Phase::Killing { .. } => return pause,
            Phase::Stuck => return sight.now + STUCK_LOOKS,
            Phase::Fresh { .. } => sight.now,
            Phase::Asked { signal_at } => signal_at.min(self.kill_at),
            Phase::Signalled { again_at, .. } => again_at.unwrap_or(self.kill_at).min(self.kill_at),
        };
        // While the main process lives, its end will be told; what it leaves behind has to be looked at.
        if sight.main_gone { planned.min(pause) } else { planned }
    }
}

/// What there is to say about processes that outlived SIGKILL.
pub(super) fn stuck(pids: &[Pid]) -> String {
    let pids: Vec<String> = pids.iter().map(Pid::to_string).collect();
    format!(
        "process {} outlived SIGKILL for {}, as a hung driver or disk makes it; nothing is started in its place. \
         See what it waits for (/proc/PID/stack, dmesg); if it does not go, only a reboot ends it",
        pids.join(", "),
        format_duration(STUCK_AFTER)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn sight(now: Instant) -> Sight {
        Sight { now, main_gone: false, empty: false }
    }

    /// Lives through an end of something that never goes, and says when which act was done.
    fn live(mut ending: Ending, start: Instant, until: Duration) -> Vec<(Duration, Act)> {
        let (mut now, mut acts) = (start, Vec::new());
        while now <= start + until {
            for act in ending.step(sight(now)) {
                if acts.last().is_none_or(|(_, last)| *last != act || act != Act::Kill) {
                    acts.push((now - start, act));
                }
            }
            now = ending.next_look(sight(now)).max(now + Duration::from_micros(1));
        }
        acts
    }

    #[test]
    fn signal_then_kill_at_the_end_of_the_grace_then_stuck() {
        let t = clock::now();
        let acts = live(Ending::new(t + 5 * SECOND, false, None), t, 10 * SECOND);
        assert_eq!(acts[..3], [(Duration::ZERO, Act::Signal), (5 * SECOND, Act::Kill), (5 * SECOND, Act::TellKilling)]);
        let stuck = acts.iter().find(|(_, act)| *act == Act::TellStuck).expect("it is stuck").0;
        assert!(stuck >= 5 * SECOND + STUCK_AFTER && stuck < 7 * SECOND, "{stuck:?}");
    }

    #[test]
    fn an_engine_that_wants_it_gets_a_second_signal_and_a_request_comes_first() {
        let t = clock::now();
        let acts = live(Ending::new(t + 4 * SECOND, true, Some(SECOND)), t, Duration::from_millis(3500));
        assert_eq!(acts, [(Duration::ZERO, Act::Ask), (2 * SECOND, Act::Signal), (3 * SECOND, Act::Signal)]);
        let mut refused = Ending::new(t + 4 * SECOND, true, None);
        assert_eq!(refused.step(sight(t)), [Act::Ask]);
        refused.refused(t);
        assert_eq!(refused.step(sight(t)), [Act::Signal]);
    }

    #[test]
    fn a_hurried_end_kills_at_once_and_an_empty_one_does_nothing() {
        let t = clock::now();
        let mut ending = Ending::new(t + 5 * SECOND, false, None);
        ending.step(sight(t));
        ending.hurry(t);
        assert_eq!(ending.step(sight(t)), [Act::Kill, Act::TellKilling]);
        assert_eq!(ending.step(Sight { now: t, main_gone: true, empty: true }), []);
        assert!(ending.has_killed());
    }

    #[test]
    fn what_the_main_process_leaves_is_looked_at_soon() {
        let t = clock::now();
        let mut ending = Ending::new(t + 5 * SECOND, false, None);
        ending.step(sight(t));
        let left = Sight { now: t, main_gone: true, empty: false };
        assert!(ending.next_look(sight(t)) == t + 5 * SECOND && ending.next_look(left) <= t + 2 * LOOKS.0);
    }

    #[test]
    fn what_was_born_while_the_signal_went_round_gets_it_too() {
        let t = clock::now();
        let mut ending = Ending::new(t + 5 * SECOND, false, None);
        assert_eq!(ending.step(sight(t)), [Act::Signal]);
        let left = |now| Sight { now, main_gone: true, empty: false };
        assert_eq!(ending.step(left(t)), []);
        assert_eq!(ending.step(left(t + ONCE_MORE)), [Act::Signal]);
        assert_eq!(ending.step(left(t + 2 * ONCE_MORE)), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_plan_it_is_killed_by_the_end_of_its_grace(
            grace in 0u64..10_000, ask in any::<bool>(), second in prop::option::of(0u64..5_000),
        ) {
            let t = clock::now();
            let grace = Duration::from_millis(grace);
            let ending = Ending::new(t + grace, ask, second.map(Duration::from_millis));
            let acts = live(ending, t, grace + 3 * SECOND);
            let kill = acts.iter().find(|(_, act)| *act == Act::Kill).map(|(at, _)| *at);
            prop_assert_eq!(kill, Some(grace));
            prop_assert!(acts.iter().any(|(_, act)| *act == Act::TellStuck));
            prop_assert!(acts.iter().filter(|(_, act)| *act == Act::Signal).count() <= 2);
        }
    }
}

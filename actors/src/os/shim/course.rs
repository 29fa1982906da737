//! What a shim does next. Pure.
//!
//! It says what becomes of the processes that it was told to start, kills when it is told to or when nobody is there any
//! more to tell it, and ends once its tree is empty and it is not needed.

use std::collections::BTreeMap;

use super::wire::FromShim;
use crate::ids::Pid;

/// The main process, number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Main {
    /// Not started yet.
    Awaited,
    /// It runs.
    Runs(Pid),
    /// It has ended, with this status as `waitpid` gives it.
    Ended(i32),
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A process was started, as it was told to.
    Started { id: u32, pid: Pid },
    /// A child has ended and was waited for.
    Ended { pid: Pid, status: i32 },
    /// `waitpid` says that there is nobody left.
    Nobody,
    /// The order to kill the tree.
    Kill,
    /// The order to kill one of those that it was told to start.
    KillOne { id: u32 },
    /// The order to end.
    Leave,
    /// The runtime is gone, or has let go.
    Alone,
    /// A runtime is there again.
    Attached,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Tell the runtime.
    Say(FromShim),
    /// Write down how the main process ended.
    Record(i32),
    /// Kill this child.
    Kill(Pid),
    /// Nothing is left to do.
    End,
}

/// The state of one shim.
#[derive(Debug)]
pub(super) struct Course {
    keeps: bool,
    attached: bool,
    main: Main,
    /// Those that it was told to start and that have not ended: their numbers.
    running: BTreeMap<Pid, u32>,
    killing: bool,
    empty: bool,
}

impl Course {
    /// One that has started nothing yet. `keeps`: it outlives its runtime.
    pub(super) fn new(keeps: bool) -> Self {
        Self { keeps, attached: true, main: Main::Awaited, running: BTreeMap::new(), killing: false, empty: true }
    }

    /// Whether the tree is to be killed, again and again.
    pub(super) fn is_killing(&self) -> bool {
        self.killing
    }

    /// Whether a process may be started under this number now.
    pub(super) fn may_start(&self, id: u32) -> bool {
        let is_free = !self.running.values().any(|running| *running == id) && (id != 0 || self.main == Main::Awaited);
        self.attached && is_free
    }

    /// The main process.
    pub(super) fn main(&self) -> Main {
        self.main
    }

    /// Whether nobody is in the tree.
    pub(super) fn is_empty(&self) -> bool {
        self.empty
    }

    /// Takes note of an event and says what follows from it.
    pub(super) fn step(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Started { id, pid } => {
                self.running.insert(pid, id);
                self.empty = false;
                if id == 0 {
                    self.main = Main::Runs(pid);
                }
                Vec::new()
            }
            Event::Ended { pid, status } => self.ended(pid, status),
            Event::Nobody => {
                self.killing = false;
                let is_news = !std::mem::replace(&mut self.empty, true);
                self.say(is_news.then_some(FromShim::Empty)).chain(self.end_if_over()).collect()
            }
            Event::Kill => {
                self.killing = !self.empty;
                Vec::new()
            }
            Event::KillOne { id } => {
                self.running.iter().filter(|(_, running)| **running == id).map(|(pid, _)| Effect::Kill(*pid)).collect()
            }
            Event::Leave if self.empty => vec![Effect::End],
            // Not before it is empty. Who gave the order sees that it is still there.
            Event::Leave => Vec::new(),
            Event::Alone => self.alone(),
            Event::Attached => {
                self.attached = true;
                Vec::new()
            }
        }
    }

    fn ended(&mut self, pid: Pid, status: i32) -> Vec<Effect> {
        // Anybody else was an orphan of the tree.
        let Some(id) = self.running.remove(&pid) else { return Vec::new() };
        let mut effects = Vec::new();
        if id == 0 {
            self.main = Main::Ended(status);
            self.killing |= !self.attached;
            effects.extend(self.keeps.then_some(Effect::Record(status)));
        }
        effects.extend(self.say(Some(FromShim::Ended { id, status })));
        effects
    }

    fn alone(&mut self) -> Vec<Effect> {
        self.attached = false;
        if !self.outlives() {
            self.killing = !self.empty;
            return self.end_if_over().into_iter().collect();
        }
        // What the runtime had started beside the main process is nobody's any more, and the next runtime counts anew.
        let beside = self.running.iter().filter(|(_, id)| **id != 0).map(|(pid, _)| Effect::Kill(*pid)).collect();
        self.running.retain(|_, id| *id == 0);
        beside
    }

    /// Whether it goes on without a runtime.
    fn outlives(&self) -> bool {
        self.keeps && matches!(self.main, Main::Runs(_))
    }

    fn end_if_over(&self) -> Option<Effect> {
        (self.empty && !self.attached && !self.outlives()).then_some(Effect::End)
    }

    fn say(&self, word: Option<FromShim>) -> impl Iterator<Item = Effect> + use<> {
        word.filter(|_| self.attached).map(Effect::Say).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAIN: Event = Event::Started { id: 0, pid: Pid(10) };
    const MAIN_ENDED: Event = Event::Ended { pid: Pid(10), status: 256 };

    fn course(keeps: bool, events: &[Event]) -> (Course, Vec<Effect>) {
        let mut course = Course::new(keeps);
        let effects = events.iter().flat_map(|event| course.step(*event)).collect();
        (course, effects)
    }

    #[test]
    fn ends_are_told_and_emptiness_once() {
        let beside = Event::Started { id: 1, pid: Pid(11) };
        let events = [MAIN, beside, Event::Ended { pid: Pid(99), status: 0 }, MAIN_ENDED, Event::Nobody, Event::Nobody];
        let (course, effects) = course(false, &events);
        let ended = FromShim::Ended { id: 0, status: 256 };
        assert_eq!(effects, [Effect::Say(ended), Effect::Say(FromShim::Empty)]);
        assert_eq!((course.main(), course.is_killing()), (Main::Ended(256), false));
    }

    #[test]
    fn a_kill_goes_on_until_nobody_is_left_and_does_not_end_the_shim() {
        let (mut course, effects) = course(false, &[MAIN, Event::Kill]);
        assert!(effects.is_empty() && course.is_killing());
        course.step(MAIN_ENDED);
        assert!(course.is_killing(), "what the main process left may live");
        assert_eq!(course.step(Event::Nobody), [Effect::Say(FromShim::Empty)]);
        assert!(!course.is_killing());
        assert_eq!(course.step(Event::Leave), [Effect::End]);
    }

    #[test]
    fn it_does_not_leave_anybody() {
        let (mut course, effects) = course(false, &[MAIN, Event::Leave]);
        assert_eq!(effects, []);
        course.step(MAIN_ENDED);
        assert_eq!(course.step(Event::Leave), []);
    }

    #[test]
    fn alone_it_kills_and_ends() {
        let (mut course, effects) = course(false, &[MAIN, Event::Alone]);
        assert!(effects.is_empty() && course.is_killing() && !course.may_start(1));
        assert_eq!(course.step(MAIN_ENDED), []);
        assert_eq!(course.step(Event::Nobody), [Effect::End]);
        assert_eq!(Course::new(false).step(Event::Alone), [Effect::End]);
        assert_eq!(Course::new(true).step(Event::Alone), [Effect::End], "nothing was started that could be kept");
    }

    #[test]
    fn one_that_keeps_goes_on_alone_until_its_main_process_ends() {
        let beside = Event::Started { id: 1, pid: Pid(11) };
        let (mut course, effects) = course(true, &[MAIN, beside, Event::Alone]);
        assert_eq!(effects, [Effect::Kill(Pid(11))]);
        assert!(!course.is_killing());
        assert_eq!(course.step(MAIN_ENDED), [Effect::Record(256)]);
        assert!(course.is_killing());
        assert_eq!(course.step(Event::Nobody), [Effect::End]);
    }

    #[test]
    fn one_that_keeps_tells_the_next_runtime() {
        let (mut course, _) = course(true, &[MAIN, Event::Alone, Event::Attached]);
        assert!(course.may_start(1) && !course.may_start(0));
        let ended = Effect::Say(FromShim::Ended { id: 0, status: 256 });
        assert_eq!(course.step(MAIN_ENDED), [Effect::Record(256), ended]);
        assert_eq!(course.step(Event::Nobody), [Effect::Say(FromShim::Empty)]);
        assert_eq!(course.step(Event::Alone), [Effect::End]);
    }

    #[test]
    fn numbers_are_used_once_at_a_time() {
        let (mut course, _) = course(false, &[MAIN, Event::Started { id: 1, pid: Pid(11) }]);
        assert!(!course.may_start(0) && !course.may_start(1) && course.may_start(2));
        assert_eq!(course.step(Event::KillOne { id: 1 }), [Effect::Kill(Pid(11))]);
        course.step(Event::Ended { pid: Pid(11), status: 9 });
        assert!(course.may_start(1));
        assert_eq!(course.step(Event::KillOne { id: 1 }), []);
    }

    /// Whether the kernel and the rules of the socket allow this to happen now.
    fn is_possible(course: &Course, event: Event) -> bool {
        match event {
            Event::Started { id, pid } => course.may_start(id) && !course.running.contains_key(&pid),
            Event::Nobody => course.running.is_empty(),
            Event::Ended { .. } | Event::Kill | Event::KillOne { .. } | Event::Leave => true,
            Event::Alone => course.attached,
            Event::Attached => course.keeps && !course.attached,
        }
    }

    fn any_course(keeps: bool, events: Vec<Event>) -> Course {
        let mut course = Course::new(keeps);
        for event in events {
            if is_possible(&course, event) && course.step(event).contains(&Effect::End) {
                return Course::new(keeps);
            }
        }
        course
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let pid = || (10u32..14).prop_map(Pid);
        prop_oneof![
            (0u32..4, pid()).prop_map(|(id, pid)| Event::Started { id, pid }),
            (pid(), any::<i32>()).prop_map(|(pid, status)| Event::Ended { pid, status }),
            Just(Event::Nobody),
            Just(Event::Kill),
            Just(Event::Leave),
            (0u32..4).prop_map(|id| Event::KillOne { id }),
            Just(Event::Alone),
            Just(Event::Attached),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn without_a_runtime_everyone_comes_to_an_end(
            keeps in any::<bool>(),
            events in proptest::collection::vec(any_event(), 0..30),
        ) {
            let mut course = any_course(keeps, events);
            let mut effects = course.step(Event::Alone);
            if let Main::Runs(pid) = course.main() {
                prop_assert!(keeps || course.is_killing());
                effects.extend(course.step(Event::Ended { pid, status: 0 }));
            }
            prop_assert!(course.is_empty() || course.is_killing());
            effects.extend(course.step(Event::Nobody));
            prop_assert_eq!(effects.last(), Some(&Effect::End));
        }

        #[test]
        fn it_never_ends_with_somebody_in_the_tree(
            keeps in any::<bool>(),
            events in proptest::collection::vec(any_event(), 0..30),
        ) {
            let mut course = Course::new(keeps);
            for event in events {
                if !is_possible(&course, event) {
                    continue;
                }
                let is_over = course.step(event).contains(&Effect::End);
                prop_assert!(!is_over || course.is_empty());
            }
        }
    }
}

//! The schedule against units of every kind.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::os::clock;

const SECOND: Duration = Duration::from_secs(1);

fn schedule(deadline: Duration, units: &[(&str, &[&str])]) -> Schedule {
    let mut schedule = Schedule::new(deadline);
    for (name, needs) in units {
        let needs: Vec<String> = needs.iter().map(|&n| n.to_owned()).collect();
        schedule.register(name, &needs, 5 * SECOND).expect("a good registration");
    }
    schedule
}

fn begin() -> Input {
    Input::Begin { reason: "test".to_owned() }
}

fn answer(unit: &str) -> Input {
    Input::Stopped { unit: unit.to_owned(), outcome: StopOutcome::Clean }
}

fn told(schedule: &Schedule, effects: &[Effect]) -> Vec<String> {
    let name = |effect: &Effect| match effect {
        Effect::Tell { unit, .. } => Some(schedule.name(*unit).to_owned()),
        Effect::Announce(_) | Effect::WakeAt(_) | Effect::Finish(_) => None,
    };
    effects.iter().filter_map(name).collect()
}

fn report(effects: &[Effect]) -> Option<&StopReport> {
    effects.iter().find_map(|effect| match effect {
        Effect::Finish(report) => Some(report),
        Effect::Announce(_) | Effect::Tell { .. } | Effect::WakeAt(_) => None,
    })
}

#[test]
fn without_dependencies_all_are_told_at_once_the_last_registered_first() {
    let mut s = schedule(30 * SECOND, &[("a", &[]), ("b", &[]), ("c", &[])]);
    let effects = s.step(begin(), clock::now());
    assert_eq!(told(&s, &effects), ["c", "b", "a"]);
}

#[test]
fn a_unit_that_went_is_told_nothing_and_a_changed_need_orders_the_stop() {
    let mut s = schedule(30 * SECOND, &[("db", &[]), ("web", &["db"]), ("job", &["db"])]);
    assert!(s.unregister("db").is_err(), "it is needed");
    s.unregister("web").expect("nobody needs it");
    s.change("job", &[], SECOND).expect("changed");
    let late = s.register("late", &["job".to_owned()], SECOND).expect("registered");
    s.change("db", &["late".to_owned()], SECOND).expect("changed");
    let now = clock::now();
    let effects = s.step(begin(), now);
    assert_eq!(told(&s, &effects), ["db"]);
    assert_eq!(s.unregister("db"), Err(GraphError::Stopping("db".to_owned())));
    assert_eq!(s.change("db", &[], SECOND), Err(GraphError::Stopping("db".to_owned())));
    let effects = s.step(answer("db"), now);
    assert_eq!(effects.first(), Some(&Effect::Tell { unit: late, until: now + SECOND, force: false }));
    s.step(answer("late"), now);
    let effects = s.step(answer("job"), now);
    let units: Vec<_> = report(&effects).expect("the end").units.iter().map(|u| u.name.as_str()).collect();
    assert_eq!(units, ["db", "late", "job"]);
}

#[test]
fn a_unit_waits_for_everything_that_needs_it() {
    let now = clock::now();
    let mut s = schedule(30 * SECOND, &[("db", &[]), ("web", &["db"]), ("job", &["db"])]);
    let effects = s.step(begin(), now);
    assert_eq!(told(&s, &effects), ["job", "web"]);
    let effects = s.step(answer("web"), now);
    assert_eq!(told(&s, &effects), [""; 0]);
    let effects = s.step(answer("job"), now);
    assert_eq!(told(&s, &effects), ["db"]);
    let effects = s.step(answer("db"), now + SECOND);
    let report = report(&effects).expect("the end");
    assert_eq!(report.units.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(), ["web", "job", "db"]);
    assert_eq!((report.forced, report.seconds, report.units[2].seconds), (false, 1.0, 1.0));
}

#[test]
fn nothing_to_stop_is_over_at_once_and_only_once() {
    let mut s = schedule(30 * SECOND, &[]);
    assert!(report(&s.step(begin(), clock::now())).is_some());
    assert_eq!(s.step(begin(), clock::now()), []);
    assert_eq!(s.step(Input::Force, clock::now()), []);
}

#[test]
fn a_unit_that_does_not_answer_is_left_behind_and_the_stop_goes_on() {
    let now = clock::now();
    let mut s = schedule(30 * SECOND, &[("db", &[]), ("web", &["db"])]);
    let effects = s.step(begin(), now);
    assert!(effects.contains(&Effect::WakeAt(now + 5 * SECOND)));
    let effects = s.step(Input::Wake, now + 5 * SECOND);
    assert_eq!(told(&s, &effects), ["db"]);
    let effects = s.step(answer("db"), now + 5 * SECOND);
    let report = report(&effects).expect("the end");
    assert_eq!(report.units[0].outcome, StopOutcome::TimedOut);
    assert!(!report.forced);
}

#[test]
fn a_bound_is_clipped_to_what_is_left_of_the_deadline() {
    let now = clock::now();
    let mut s = schedule(7 * SECOND, &[("db", &[]), ("web", &["db"])]);
    s.step(begin(), now);
    let effects = s.step(answer("web"), now + 4 * SECOND);
    assert!(effects.contains(&Effect::Tell { unit: 0, until: now + 7 * SECOND, force: false }));
}

#[test]
fn at_the_deadline_everything_left_is_told_to_end_by_force() {
    let now = clock::now();
    let mut s = schedule(3 * SECOND, &[("db", &[]), ("cache", &[]), ("web", &["db"])]);
    s.step(begin(), now);
    s.step(answer("cache"), now + SECOND);
    let late = now + 3 * SECOND;
    let forced = |unit| Effect::Tell { unit, until: late + LAST_BOUND, force: true };
    let effects = s.step(Input::Wake, late);
    assert_eq!(effects, [forced(2), forced(0), Effect::WakeAt(late + LAST_BOUND)]);
    s.step(Input::Stopped { unit: "web".to_owned(), outcome: StopOutcome::Killed }, late);
    let effects = s.step(Input::Wake, late + LAST_BOUND);
    let report = report(&effects).expect("the end");
    let lines: Vec<_> = report.units.iter().map(|u| (u.name.as_str(), &u.outcome)).collect();
    assert_eq!(lines, [("cache", &StopOutcome::Clean), ("web", &StopOutcome::Killed), ("db", &StopOutcome::TimedOut)]);
    assert!(report.forced);
}

#[test]
fn a_second_signal_does_not_wait_for_the_deadline_and_reaches_those_that_timed_out() {
    let now = clock::now();
    let mut s = schedule(30 * SECOND, &[("db", &[]), ("web", &["db"])]);
    s.step(begin(), now);
    s.step(Input::Wake, now + 5 * SECOND);
    let effects = s.step(Input::Force, now + 6 * SECOND);
    assert_eq!(told(&s, &effects), ["web", "db"]);
    s.step(answer("db"), now + 6 * SECOND);
    let effects = s.step(answer("web"), now + 6 * SECOND);
    let report = report(&effects).expect("the end");
    assert_eq!(report.units.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(), ["db", "web"]);
}

#[test]
fn force_alone_begins_and_forces() {
    let mut s = schedule(30 * SECOND, &[("a", &[])]);
    let effects = s.step(Input::Force, clock::now());
    assert!(matches!(effects[0], Effect::Announce(_)));
    assert!(matches!(effects[1], Effect::Tell { force: true, .. }));
    assert_eq!(effects.len(), 3, "told once: {effects:?}");
}

#[test]
fn late_registrations_and_answers_nobody_asked_for_are_not_taken() {
    let mut s = schedule(30 * SECOND, &[("a", &[]), ("b", &["a"])]);
    assert_eq!(s.step(answer("a"), clock::now()), []);
    s.step(begin(), clock::now());
    assert_eq!(s.register("c", &[], SECOND), Err(GraphError::Stopping("c".to_owned())));
    s.step(answer("a"), clock::now());
    s.step(answer("nobody"), clock::now());
    let effects = s.step(answer("b"), clock::now());
    assert_eq!(told(&s, &effects), ["a"]);
}

/// How a unit of the simulation behaves.
#[derive(Debug, Clone)]
struct Habit {
    needs: Vec<prop::sample::Index>,
    bound: u64,
    /// Milliseconds from being told to the answer; `None`: it never answers.
    answers: Option<u64>,
    /// The same once told by force.
    forced: Option<u64>,
}

fn habit() -> impl Strategy<Value = Habit> {
    let answers = || prop::option::weighted(0.8, 0_u64..8000);
    (prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0_u64..6000, answers(), answers())
        .prop_map(|(needs, bound, answers, forced)| Habit { needs, bound, answers, forced })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_schedule_ends_in_time_in_order_and_tells_each_once(
        habits in prop::collection::vec(habit(), 0..14),
        deadline in 0_u64..12_000,
        signal in prop::option::of(0_u64..12_000),
    ) {
        let began = clock::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let mut s = Schedule::new(Duration::from_millis(deadline));
        let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); habits.len()];
        for (i, habit) in habits.iter().enumerate() {
            let needs: Vec<usize> = if i == 0 { vec![] } else { habit.needs.iter().map(|n| n.index(i)).collect() };
            for &n in &needs {
                needed_by[n].push(i);
            }
            let needs: Vec<String> = needs.iter().map(ToString::to_string).collect();
            prop_assert_eq!(s.register(&i.to_string(), &needs, Duration::from_millis(habit.bound)), Ok(i));
        }

        // The queue holds what is to come; keys are (time, tie-breaker).
        let mut queue: BTreeMap<(Instant, usize), Input> = BTreeMap::from([((began, 0), begin())]);
        let mut serial = 1;
        if let Some(ms) = signal {
            queue.insert((at(ms), serial), Input::Force);
        }
        let (mut asked, mut forced) = (vec![0; habits.len()], vec![0; habits.len()]);
        let mut over_by: Vec<Option<Instant>> = vec![None; habits.len()];
        let mut wake = None;
        let mut end = None;
        while let Some(((now, _), input)) = queue.pop_first() {
            if let Input::Stopped { unit, .. } = &input {
                let unit: usize = unit.parse().expect("a number");
                over_by[unit] = Some(over_by[unit].map_or(now, |t: Instant| t.min(now)));
            }
            for effect in s.step(input, now) {
                prop_assert!(end.is_none(), "something after the end: {:?}", effect);
                serial += 1;
                match effect {
                    Effect::Announce(_) => prop_assert_eq!(now, began),
                    Effect::Tell { unit, until, force } => {
                        prop_assert!(until >= now);
                        let habit = &habits[unit];
                        if force {
                            forced[unit] += 1;
                        } else {
                            asked[unit] += 1;
                            prop_assert!(until <= at(deadline) && until <= now + Duration::from_millis(habit.bound));
                            for &dependent in &needed_by[unit] {
                                prop_assert!(over_by[dependent].is_some_and(|t| t <= now), "told before a dependent");
                            }
                            over_by[unit] = Some(until);
                        }
                        if let Some(ms) = if force { habit.forced } else { habit.answers } {
                            let outcome = StopOutcome::Clean;
                            let stopped = Input::Stopped { unit: unit.to_string(), outcome };
                            queue.insert((now + Duration::from_millis(ms), serial), stopped);
                        }
                    }
                    Effect::WakeAt(time) => {
                        prop_assert!(time > now, "it would spin");
                        if let Some(key) = wake.replace((time, serial)) {
                            queue.remove(&key);
                        }
                        queue.insert((time, serial), Input::Wake);
                    }
                    Effect::Finish(report) => {
                        prop_assert_eq!(report.units.len(), habits.len());
                        end = Some(now);
                    }
                }
            }
        }
        let end = end.expect("every schedule ends");
        prop_assert!(end <= at(deadline) + LAST_BOUND);
        prop_assert!(asked.iter().all(|&n| n <= 1) && forced.iter().all(|&n| n <= 1));
        prop_assert!(asked.iter().zip(&forced).all(|(a, f)| a + f >= 1), "everybody was told");
    }
}

//! A new configuration while it lives.

use super::world::{SECOND, World, changed, exit, spec, stop};
use crate::{
    lease::Wish,
    process_supervisor::lifecycle::*,
    state::{Disposition, ServiceState},
};

#[test]
fn a_change_that_needs_no_restart_leaves_the_run_alone_and_counts_from_now_on() {
    let mut w = World::running(spec());
    let mut new = spec();
    (new.grace, new.restart.max) = (SECOND, 1);
    assert_eq!(w.tell(Event::Reconfigure { spec: new, restart: false, blocked: None }), []);
    assert_eq!((w.state(), w.begun), (ServiceState::Ready, 1));
    w.tell(stop());
    assert_eq!(w.kill_at, Some(w.now + SECOND));
    w.news(exit(143));
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.news(exit(1));
    assert_eq!((w.state(), w.begun), (ServiceState::Failed, 2), "the new restart.max is 1");
}

#[test]
fn a_change_that_needs_a_restart_ends_the_run_by_its_old_rules_and_is_no_failure() {
    let mut w = World::running(spec());
    let new = LifeSpec { grace: SECOND, ..spec() };
    w.tell(Event::Reconfigure { spec: new, restart: true, blocked: None });
    assert_eq!((w.state(), w.kill_at), (ServiceState::Stopping, Some(w.now + 5 * SECOND)));
    assert_eq!(w.reason(), "its configuration changed");
    w.news(exit(143));
    w.up();
    let view = w.life.view();
    assert_eq!((view.state, view.failures, view.restarts, w.begun), (ServiceState::Ready, 0, 0, 2));
    w.tell(stop());
    assert_eq!(w.kill_at, Some(w.now + SECOND));
}

#[test]
fn a_change_gives_what_had_given_up_another_chance_and_starts_nothing_that_is_down() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.news(exit(125));
    assert_eq!(w.state(), ServiceState::Failed);
    w.tell(changed(true, false));
    assert_eq!((w.state(), w.life.view().failures, w.alerts.len()), (ServiceState::Spawning, 0, 0));
    w.news(exit(125));
    w.tell(stop());
    w.tell(changed(true, false));
    assert_eq!((w.state(), w.begun), (ServiceState::Stopped, 2));
    let eager = LifeSpec { wanted: Disposition::Up, ..spec() };
    w.tell(Event::Reconfigure { spec: eager, restart: false, blocked: Some("waits for db".to_owned()) });
    assert_eq!((w.state(), w.reason().as_str(), w.begun), (ServiceState::Stopped, "waits for db", 2));
    w.tell(Event::Dependencies(None));
    assert_eq!((w.state(), w.begun), (ServiceState::Spawning, 3));
}

#[test]
fn what_had_given_up_needs_nobodys_attention_once_it_is_taken_out() {
    let retire = || Event::Retire { reason: "it was taken out of the configuration".to_owned() };
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.news(exit(125));
    assert_eq!((w.state(), &w.alerts[..]), (ServiceState::Failed, &[Alert::Failed][..]));
    w.tell(retire());
    assert_eq!((w.state(), &w.alerts[..]), (ServiceState::Stopped, &[][..]));

    let mut w = World::with_memory(spec());
    w.tell(Event::Start(Wish::Wanted));
    w.news(exit(125));
    assert_eq!(w.state(), ServiceState::Reclaiming);
    w.tell(retire());
    w.reclaimed();
    assert_eq!((w.state(), &w.alerts[..]), (ServiceState::Stopped, &[][..]), "it had not rested yet");
}

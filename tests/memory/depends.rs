//! Services that depend on others which need memory too.

use crate::{
    common::{BOUND, wait_for},
    house::{chat, chat_well, refused, running, service},
};

#[test]
fn one_that_has_no_room_beside_what_it_depends_on_is_refused_and_pushes_nobody_out() {
    let greenroom = running(|g| {
        service(g, "db", "vram = \"5GiB\"", "")
            + &service(g, "app", "vram = \"5GiB\"\ndepends_on = { db = \"ready\" }", "")
    });
    for _ in 0..2 {
        let message = refused(&chat(&greenroom, "app"), 503, "insufficient_memory");
        assert!(message.contains("db holds 5GiB (which it depends on)"), "{message}");
        assert_eq!(greenroom.state("db"), "ready");
    }
    let pid = greenroom.service_pid("db");
    chat_well(&greenroom, "db");
    assert_eq!(greenroom.service_pid("db"), pid, "it was never away");
    let why = greenroom.cli(&["why", "app"]).expect(0).stdout;
    assert!(why.contains("`app` depends on `db`"), "{why}");
}

#[test]
fn a_request_is_told_why_what_the_service_depends_on_does_not_come_up() {
    let greenroom = running(|g| {
        service(g, "huge", "vram = \"9GiB\"", "")
            + &service(g, "lame", "restart.max = 0", "--crash-after-ms 1 --exit-code 4")
            + &service(g, "app", "depends_on = { huge = \"ready\" }", "")
            + &service(g, "tool", "depends_on = { lame = \"ready\" }", "")
    });
    let answer = chat(&greenroom, "app");
    let message = refused(&answer, 503, "insufficient_memory");
    assert!(message.contains("`app` waits for `huge`") && message.contains("at most 8GiB"), "{message}");
    assert!(answer.json()["error"]["needed"]["vram"].is_object(), "{}", answer.body);
    let answer = chat(&greenroom, "tool");
    let message = refused(&answer, 502, "start_failed");
    assert!(message.contains("exit code 4"), "{message}");
    assert_eq!(answer.json()["error"]["exit_code"], 4, "{}", answer.body);
}

#[test]
fn nobody_is_pushed_out_on_whom_a_service_depends_that_is_up() {
    let greenroom = running(|g| {
        service(g, "db", "vram = \"5GiB\"", "")
            + &service(g, "app", "vram = \"1GiB\"\ndepends_on = { db = \"ready\" }", "")
            + &service(g, "image", "vram = \"6GiB\"", "")
    });
    chat_well(&greenroom, "app");
    let pid = greenroom.service_pid("db");
    let answer = chat(&greenroom, "image");
    let message = refused(&answer, 503, "insufficient_memory");
    assert!(message.contains("db holds 5GiB (needed by app)"), "{message}");
    let holders = answer.json()["error"]["holders"].clone();
    assert_eq!((&holders[0]["why"], &holders[0]["needed_by"]), (&"needed_by".into(), &"app".into()), "{holders}");
    let why = greenroom.cli(&["why", "image"]).expect(0).stdout;
    assert!(why.contains("greenroom offload app"), "{why}");
    assert_eq!((greenroom.service_pid("db"), greenroom.state("app").as_str()), (pid, "ready"));
    greenroom.cli(&["offload", "app"]).expect(0);
    chat_well(&greenroom, "image");
    assert_eq!(greenroom.state("db"), "offloaded");
}

#[test]
fn what_a_request_has_brought_up_with_it_leaves_when_both_are_idle_and_not_before() {
    let greenroom = running(|g| {
        service(g, "db", "vram = \"1GiB\"\nidle_timeout = \"300ms\"", "")
            + &service(g, "app", "vram = \"1GiB\"\ndepends_on = { db = \"ready\" }", "")
    });
    chat_well(&greenroom, "app");
    let pid = greenroom.service_pid("db");
    assert_eq!(greenroom.service("db")["disposition"], "on_demand");
    let idle = || greenroom.service("db")["idle_for"].as_f64().is_some_and(|idle| idle > 1.0);
    wait_for("it is idle for longer than it may", BOUND, idle);
    assert_eq!((greenroom.state("db").as_str(), greenroom.service_pid("db")), ("ready", pid));
    greenroom.cli(&["offload", "app"]).expect(0);
    greenroom.wait_state("db", "offloaded");
}

//! What belongs to the application stays as it was.

use std::sync::Arc;

use crate::app::{APPS, App};

#[test]
fn threads_signals_limits_environment_and_log_stay_the_applications_own() {
    for name in APPS {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let mut app = App::start(name, "run", &folder);
        app.end();
        assert!(app.wait().success(), "{:#?}", app.said());
        let said = app.said();
        let times = |line: &str| said.iter().filter(|other| *other == line).count();
        assert_eq!(times("untouched"), 2, "while it runs and afterwards: {said:#?}");
        assert_eq!(times("own threads"), 1, "{said:#?}");
        assert_eq!(times("clean"), 1, "{said:#?}");
        assert!(app.left().is_empty(), "{:#?}", app.left());
    }
}

#[test]
fn events_are_told_until_the_end_and_then_the_stream_ends() {
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let mut app = App::start("with_tokio", "run", &folder);
    app.end();
    assert!(app.wait().success(), "{:#?}", app.said());
    let told = app.line("told ");
    assert!(told.starts_with("spawning starting ready"), "{told}");
    assert!(told.ends_with("stopped"), "{told}");
}

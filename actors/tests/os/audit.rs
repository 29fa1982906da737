//! The audit: it names what was left, and is clean once that is gone.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use greenroom_actors::os::{
    audit::{AuditBaseline, AuditScope, Whose},
    containment::Containment,
};

use crate::{
    Verdict,
    support::{LONG, Stage},
};

crate::tests!(
    what_is_left_is_named_and_what_is_gone_is_not,
    in_an_application_only_what_carries_the_runtimes_marks_counts
);

fn what_is_left_is_named_and_what_is_gone_is_not() -> Verdict {
    let baseline = AuditBaseline::take().expect("a baseline");
    assert!(baseline.compare(&AuditScope::default()).expect("a report").is_clean());

    let stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let mut child = Command::new("sleep").arg("987").spawn().expect("a child");
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    let scope = AuditScope {
        cgroup_roots: vec![stage.containment.root().to_owned()],
        ports: vec![port, 1],
        ..AuditScope::default()
    };

    let report = baseline.compare(&scope).expect("a report");
    child.kill().expect("killed");
    child.wait().expect("a status");
    assert_eq!((report.children.len(), report.threads.len(), report.cgroups.len()), (1, 1, 1), "{report:?}");
    assert!(report.children[0].starts_with(&child.id().to_string()), "{report:?}");
    assert!(report.descriptors.iter().any(|one| one.contains("socket:[")), "{report:?}");
    assert_eq!(report.ports, [port]);
    assert!(!report.is_clean());

    drop((stop, listener));
    thread.join().expect("joined").expect_err("the channel is closed");
    stage.containment.close().expect("closed");
    let settled = baseline.settle(&scope, LONG).expect("a report");
    assert!(settled.is_clean(), "{settled:?}");
    Verdict::Held
}

fn in_an_application_only_what_carries_the_runtimes_marks_counts() -> Verdict {
    let baseline = AuditBaseline::take().expect("a baseline");
    let sleeping = |command: &mut Command| command.arg("986").spawn().expect("a child");
    let whose = Whose::Marked { root_name: "greenroom-a-b".to_owned(), state_dir: "/s/d".into() };
    let scope = AuditScope { whose, ..AuditScope::default() };
    let _listener = TcpListener::bind("127.0.0.1:0").expect("a descriptor of the application's");
    let mut own = sleeping(&mut Command::new("sleep"));
    let mut other = sleeping(Command::new("sleep").env("GREENROOM_STATE_DIR", "/s/d/other"));
    let clean = baseline.compare(&scope).expect("a report");
    let mut marked = sleeping(Command::new("sleep").env("GREENROOM_STATE_DIR", "/s/d"));
    // `sh -c SCRIPT NAME`: the name is an argument that nothing reads.
    let mut guardian = Command::new("/bin/sh")
        .args(["-c", "read never", "greenroom-a-b"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("a child");
    // A spawn returns in the midst of exec, some moments before the kernel knows the new arguments.
    for child in [&marked, &guardian] {
        let begun = || std::fs::read(format!("/proc/{}/cmdline", child.id())).is_ok_and(|command| !command.is_empty());
        assert!(
            greenroom_actors::os::clock::wait_until(std::time::Duration::from_secs(30), begun),
            "it does not begin"
        );
    }
    let report = baseline.compare(&scope).expect("a report");
    for child in [&mut own, &mut other, &mut marked, &mut guardian] {
        child.kill().expect("killed");
        child.wait().expect("a status");
    }
    assert!(clean.is_clean(), "{clean:?}");
    let found = |child: &Child| report.children.iter().any(|line| line.starts_with(&format!("{} ", child.id())));
    assert!(report.children.len() == 2 && found(&marked) && found(&guardian), "{report:?}");
    Verdict::Held
}

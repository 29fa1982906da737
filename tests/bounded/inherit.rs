//! A child gets descriptors 0, 1, 2 and no others, and the environment and folder that the config says.

use std::fs;

use crate::common::{BOUND, Greenroom, wait_until};

#[test]
fn children_inherit_three_descriptors_and_no_more() {
    // Several at once: a descriptor opened for one could leak into another.
    let greenroom = Greenroom::new();
    let file = |n: usize| greenroom.folder().join(format!("fds{n}"));
    let service = |n: usize| {
        let name = format!("s{n}");
        let options = format!("--port ${{port}} --only-own-fds {}", file(n).display());
        format!("[service.{name}]\ncommand = {}\nready = \"/health\"\n", greenroom.stand_in(&name, &options))
    };
    greenroom.configure(&(0..8).map(service).collect::<String>());
    greenroom.start();
    for n in 0..8 {
        greenroom.wait_state(&format!("s{n}"), "ready");
        greenroom.cli(&["restart", &format!("s{n}")]).expect(0);
        let fds = fs::read_to_string(file(n)).expect("the stand-in wrote it");
        assert_eq!(fds.lines().collect::<Vec<_>>(), ["0", "1", "2"], "service {n}");
    }
    greenroom.shutdown_clean();
}

#[test]
fn children_get_a_clean_signal_state() {
    let greenroom = Greenroom::new();
    let file = greenroom.folder().join("status");
    let script = format!("grep '^Sig' /proc/self/status > {0}.new; mv {0}.new {0}; sleep 600", file.display());
    greenroom.configure(&format!("[service.x]\ncommand = {}\n", greenroom.shell(&script)));
    greenroom.start();
    let (status, _) = wait_until("the child wrote its signal state", BOUND, || fs::read_to_string(&file).ok());
    for set in ["SigBlk", "SigIgn"] {
        let line = status.lines().find(|line| line.starts_with(set)).unwrap_or_default();
        let bits = u64::from_str_radix(line.rsplit('\t').next().unwrap_or_default(), 16).expect("a set of signals");
        // Signals 32 and 33 are the C library's own; its `posix_spawn` leaves them ignored, and nobody else can set them.
        assert_eq!(bits & 0x7FFF_FFFF, 0, "{line}");
    }
    greenroom.shutdown_clean();
}

#[test]
fn the_environment_is_what_the_config_says() {
    let greenroom = Greenroom::new();
    let file = greenroom.folder().join("env");
    let script = format!("env > {0}.new; pwd >> {0}.new; mv {0}.new {0}; sleep 600", file.display());
    let work = greenroom.folder().join("work");
    fs::create_dir(&work).expect("the test's folder is writable");
    greenroom.configure(&format!(
        "[service.x]\ncommand = {}\nworking_dir = \"work\"\ninherit_env = [\"PATH\"]\nenv = {{ MODEL = \"a b\", ME = \"${{name}}\" }}\n",
        greenroom.shell(&script)
    ));
    greenroom.start();
    let (env, _) = wait_until("the child wrote its environment", BOUND, || fs::read_to_string(&file).ok());
    let has = |line: &str| env.lines().any(|l| l == line);
    assert!(has("MODEL=a b") && has("ME=x") && env.contains("PATH="), "{env}");
    assert!(!env.contains("HOME="), "{env}");
    assert!(has(&fs::canonicalize(&work).expect("it exists").display().to_string()), "{env}");
    greenroom.shutdown_clean();
}

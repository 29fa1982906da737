//! What commands say is so, and what they are told they do.

use crate::{common::Greenroom, pair};

#[test]
fn a_program_that_ends_right_after_its_start_is_not_reported_as_started() {
    let greenroom = Greenroom::running(|g| {
        let command = g.shell("echo 'CUDA error: out of memory' >&2; exit 1");
        format!(
            "[service.x]\ncommand = {command}\nstart = \"manual\"\nrestart.max = 2\nrestart.backoff = \"10ms..20ms\"\n"
        )
    });
    let cli = greenroom.cli(&["start", "x"]).expect(1);
    assert!(cli.stderr.contains("oom_gpu") && cli.stderr.contains("  | CUDA error: out of memory"), "{cli:?}");
    let why = greenroom.cli(&["why", "x"]).expect(0);
    let said = why.stdout.split("what happened last").next().unwrap_or_default();
    assert_eq!(said.matches("give it less to hold").count(), 1, "each thing is said once: {why:?}");
    greenroom.shutdown_clean();
}

#[test]
fn a_broken_configuration_does_not_hide_a_running_runtime() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    greenroom.write_config("[service.web\n");
    let file = greenroom.config_file().display().to_string();
    let broken = greenroom.bare(&["status", "-c", &file]).expect(2);
    assert!(broken.stderr.contains("--state-dir"), "it says how to reach it all the same: {broken:?}");
    let dir = greenroom.state_dir().display().to_string();
    greenroom.bare(&["--state-dir", &dir, "status"]).expect(0);
    greenroom.bare(&["--state-dir", &dir, "shutdown"]).expect(0);
}

#[test]
fn a_model_file_that_has_gone_hides_no_runtime() {
    let greenroom = Greenroom::new();
    let model = greenroom.folder().join("chat.gguf");
    std::fs::write(&model, "GGUF").expect("a writable folder");
    let command = greenroom.shell("sleep 600");
    greenroom
        .configure(&format!("[service.chat]\ncommand = {command}\nmodel_file = \"chat.gguf\"\nstart = \"manual\"\n"));
    greenroom.start();
    std::fs::remove_file(&model).expect("it was there");
    let file = greenroom.config_file().display().to_string();
    let ask = |args: &[&str]| greenroom.bare(&[&["-c", &file], args].concat());
    let status = ask(&["status"]).expect(0);
    assert!(status.stdout.contains("chat"), "{status:?}");
    ask(&["job", "list"]).expect(0);
    ask(&["history", "events"]).expect(0);
    let reload = ask(&["reload"]).expect(2);
    assert!(reload.stderr.contains("chat.gguf"), "whoever needs the file still says that it has gone: {reload:?}");
    assert!(ask(&["check"]).expect(2).text().contains("chat.gguf"));
    ask(&["shutdown"]).expect(0);
}

#[test]
fn options_that_mean_nothing_to_a_command_are_refused() {
    let greenroom = Greenroom::new();
    for args in [&["demo", "--state-dir", "x"][..], &["init", "-c", "x.toml"], &["completions", "bash", "--set", "a=1"]]
    {
        let cli = greenroom.bare(args).expect(2);
        assert!(cli.stderr.contains("takes no"), "{args:?}: {cli:?}");
    }
    assert!(!greenroom.folder().join("greenroom.toml").exists(), "nothing was written");
}

#[test]
fn a_log_level_that_is_none_is_refused_before_anything_starts() {
    let greenroom = Greenroom::new();
    greenroom.configure(&pair(&greenroom));
    let file = greenroom.config_file().display().to_string();
    let cli = greenroom.bare(&["run", "-c", &file, "--log-level", "loud"]).expect(2);
    assert!(cli.stderr.contains("loud"), "{cli:?}");
    assert!(!greenroom.socket().exists());
}

#[test]
fn a_start_in_the_background_that_fails_says_each_warning_once() {
    let greenroom =
        Greenroom::running(|g| pair(g) + "[service.ghost]\ncommand = \"no-such-program-here\"\nstart = \"manual\"\n");
    let file = greenroom.config_file().display().to_string();
    let cli = greenroom.bare(&["run", "-d", "-c", &file]).expect(4);
    assert_eq!(cli.stderr.matches("it will fail with `missing_command`").count(), 1, "{cli:?}");
    assert!(cli.stderr.contains(&greenroom.pid().to_string()), "it names who is there: {cli:?}");
    greenroom.shutdown_clean();
}

#[test]
fn a_model_file_that_is_not_there_is_said_when_the_configuration_is_written() {
    let greenroom = Greenroom::new();
    let cli = greenroom.bare(&["init", "models/none.gguf"]).expect(0);
    assert!(cli.stderr.contains("models/none.gguf"), "{cli:?}");
}

//! State dirs that cannot be used.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::common::Greenroom;

#[test]
fn a_state_dir_too_long_for_a_socket_says_so() {
    let greenroom = Greenroom::new();
    let long = format!("/tmp/{}/x", "a".repeat(120));
    greenroom.write_config(format!("[runtime]\nstate_dir = \"{long}\"\n[service.x]\ncommand = \"sleep 600\"\n"));
    let cli = greenroom.bare(&["run", "-c", &greenroom.config_file().display().to_string()]);
    assert!(matches!(cli.code, 1 | 2), "{cli:?}");
    assert!(cli.text().contains("107") && cli.text().contains("state_dir"), "names limit and key: {cli:?}");
    assert!(!std::path::Path::new(&long).exists());
}

#[test]
fn a_state_dir_that_cannot_be_made_is_named() {
    let greenroom = Greenroom::new();
    // A file where a folder should be: as root, no permission keeps anybody out.
    let file = greenroom.folder().join("file");
    fs::write(&file, "").expect("the test's folder is writable");
    let state = file.join("state");
    greenroom.write_config(format!(
        "[runtime]\nstate_dir = \"{}\"\n[service.x]\ncommand = \"sleep 600\"\n",
        state.display()
    ));
    let cli = greenroom.bare(&["run", "-c", &greenroom.config_file().display().to_string()]);
    assert!(matches!(cli.code, 1 | 2), "{cli:?}");
    assert!(cli.text().contains(&state.display().to_string()), "{cli:?}");
}

#[test]
fn a_state_dir_that_is_not_writable_is_named() {
    let greenroom = Greenroom::new();
    // Read-only for everybody, also for root: no folder can be made in /proc.
    greenroom.write_config("[runtime]\nstate_dir = \"/proc/greenroom\"\n[service.x]\ncommand = \"sleep 600\"\n");
    let cli = greenroom.bare(&["run", "-c", &greenroom.config_file().display().to_string()]);
    assert!(matches!(cli.code, 1 | 2), "{cli:?}");
    assert!(cli.text().contains("/proc/greenroom"), "{cli:?}");
}

#[test]
fn the_state_dir_is_private() {
    let greenroom = Greenroom::running(|_| "[service.x]\ncommand = \"sleep 600\"\n".into());
    let mode = fs::metadata(greenroom.state_dir()).expect("it exists").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}: others could read logs and the history");
}

#[test]
fn a_start_that_fails_at_its_very_end_takes_everything_down_again() {
    let greenroom = Greenroom::new();
    greenroom.configure("[service.x]\ncommand = \"sleep 600\"\nstart = \"eager\"\n");
    let state = greenroom.state_dir();
    // The socket comes last: what holds trees, the guardian and the actors are there by then.
    fs::create_dir_all(state.join("greenroom.sock")).expect("the test's folder is writable");
    let cli = greenroom.bare(&["run", "-c", &greenroom.config_file().display().to_string()]);
    assert_eq!(cli.code, 1, "{cli:?}");
    assert!(cli.text().contains("greenroom.sock"), "{cli:?}");
    let roots = fs::read_to_string(state.join("cgroup_root")).unwrap_or_default();
    assert_eq!(roots, "", "its cgroup is left to the next start");
    assert!(state.join("history.db").exists() && !state.join("history.db-wal").exists(), "the history was not closed");
}

//! The service manager ends the runtime's unit with everything in it: what is kept lives beside it.

use std::{fs, path::PathBuf, process::Command};

use greenroom::actors::os::containment::location;

use crate::{
    common::{BIN, BOUND, Greenroom, alive, random, wait_for},
    counting::{config, counted, end, ready, starts, wait_for_more},
};

/// A cgroup that looks like a unit's; gone with everything in it when it is dropped.
struct Unit(PathBuf);

impl Unit {
    fn new() -> Self {
        let name = format!("greenroom-test-{}-{:x}.service", std::process::id(), random());
        let path = location::own().expect("a cgroup").join(name);
        fs::create_dir(&path).expect("made");
        Self(path)
    }

    fn kill(&self) {
        fs::write(self.0.join("cgroup.kill"), "1").expect("written");
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.kill();
        wait_for("the unit's cgroup is removed", BOUND, || {
            for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
                fs::remove_dir(entry.path()).ok();
            }
            fs::remove_dir(&self.0).is_ok() || !self.0.exists()
        });
    }
}

/// The runtime inside of the unit.
fn in_unit(unit: &Unit, greenroom: &Greenroom) -> Command {
    let config = greenroom.config_file();
    let script = format!("echo 0 > {}/cgroup.procs && exec {BIN} run -c {}", unit.0.display(), config.display());
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).current_dir(greenroom.folder());
    command
}

/// Starts the runtime inside of the unit.
fn start_in(unit: &Unit, greenroom: &Greenroom) {
    greenroom.start_as(|command| *command = in_unit(unit, greenroom));
}

#[test]
fn the_end_of_the_whole_unit_spares_what_is_kept() {
    let unit = Unit::new();
    let greenroom = Greenroom::new();
    greenroom.configure(&config(&greenroom, ""));
    start_in(&unit, &greenroom);
    let pid = ready(&greenroom);
    unit.kill();
    greenroom.wait(BOUND);
    wait_for_more(&greenroom);
    assert!(alive(pid));
    start_in(&unit, &greenroom);
    assert_eq!(ready(&greenroom), pid);
    end(&greenroom);
    counted(&greenroom);
}

#[test]
fn where_the_unit_ends_everything_keep_is_refused_with_the_reason() {
    let unit = Unit::new();
    let greenroom = Greenroom::new();
    greenroom.configure(&format!("containment = \"shim\"\n{}", config(&greenroom, "")));
    let refused = in_unit(&unit, &greenroom).output().expect("a shell");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let name = unit.0.file_name().expect("a name").to_string_lossy().into_owned();
    for part in ["on_runtime_exit", &name, "Delegate=yes"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    assert_eq!(starts(&greenroom), 0);
    greenroom.assert_clean();
}

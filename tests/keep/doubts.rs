//! On any doubt about who it is, a run is ended and not taken over, and a stranger is left alone.

use std::{
    fs,
    process::{Child, Command},
};

use greenroom::actors::{ids::Pid, os::proc::ProcessIdentity};
use serde_json::Value;

use crate::{
    common::{Greenroom, Layer, alive, in_every_layer},
    counting::{config, end, entry, kill_runtime, ready, wait_for_more, wait_starts},
};

in_every_layer!(
    the_id_of_a_stranger_is_no_ground_to_take_over_or_signal,
    a_stranger_who_is_named_in_full_is_left_alone,
    another_start_time_is_a_doubt,
    another_boot_is_a_doubt,
    another_shim_is_a_doubt,
    another_place_is_a_doubt,
    a_state_dir_that_was_moved_is_a_doubt,
);

/// Somebody who has nothing to do with it.
struct Stranger(Child);

impl Stranger {
    fn new() -> Self {
        Self(Command::new("sleep").arg("987").spawn().expect("a process"))
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    fn identity(&self) -> Value {
        let identity = ProcessIdentity::of(Pid(self.0.id())).expect("an identity");
        serde_json::to_value(identity).expect("an identity")
    }

    #[track_caller]
    fn assert_spared(&mut self) {
        assert_eq!(self.0.try_wait().expect("a child"), None, "a stranger was signalled");
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Forges the registry entry of a kept run while no runtime is there, and starts one.
#[track_caller]
fn doubted(layer: Layer, forge: impl FnOnce(&mut Value, &Stranger)) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let mut stranger = Stranger::new();
    let old = ready(&greenroom);
    kill_runtime(&greenroom);
    wait_for_more(&greenroom);
    let (file, mut value) = entry(&greenroom);
    forge(&mut value, &stranger);
    fs::write(&file, value.to_string()).expect("written");

    greenroom.start();
    let new = ready(&greenroom);
    assert_ne!(new, old, "it was taken over");
    assert_ne!(new, stranger.pid());
    assert!(!alive(old), "it lives beside the new one");
    wait_starts(&greenroom, 2);
    stranger.assert_spared();
    end(&greenroom);
    stranger.assert_spared();
}

fn the_id_of_a_stranger_is_no_ground_to_take_over_or_signal(layer: Layer) {
    doubted(layer, |entry, stranger| entry["main"]["pid"] = stranger.pid().into());
}

fn a_stranger_who_is_named_in_full_is_left_alone(layer: Layer) {
    doubted(layer, |entry, stranger| entry["main"] = stranger.identity());
}

fn another_start_time_is_a_doubt(layer: Layer) {
    doubted(layer, |entry, _| {
        let start_time = entry["main"]["start_time"].as_u64().expect("a number");
        entry["main"]["start_time"] = (start_time + 1).into();
    });
}

fn another_boot_is_a_doubt(layer: Layer) {
    doubted(layer, |entry, _| {
        for process in ["/main/boot_id", "/kept/shim/boot_id"] {
            *entry.pointer_mut(process).expect("an identity") = "00000000-0000-0000-0000-000000000000".into();
        }
    });
}

fn another_shim_is_a_doubt(layer: Layer) {
    doubted(layer, |entry, stranger| entry["kept"]["shim"] = stranger.identity());
}

fn another_place_is_a_doubt(layer: Layer) {
    doubted(layer, |entry, _| {
        let place = entry["kept"]["cgroup"].as_str().unwrap_or("/sys/fs/cgroup/greenroom-x-keep/chat.1");
        entry["kept"]["cgroup"] = format!("{place}-not").into();
    });
}

fn a_state_dir_that_was_moved_is_a_doubt(layer: Layer) {
    let greenroom = Greenroom::running_in(layer, |g| config(g, ""));
    let old = ready(&greenroom);
    kill_runtime(&greenroom);
    let moved = greenroom.folder().join("elsewhere");
    fs::rename(greenroom.state_dir(), &moved).expect("moved");
    std::os::unix::fs::symlink(&moved, greenroom.state_dir()).expect("linked");
    greenroom.start();
    assert_ne!(ready(&greenroom), old, "it was taken over");
    assert!(!alive(old), "it lives beside the new one");
    wait_starts(&greenroom, 2);
    // What held the old one goes with the next start, because its shim takes a moment.
    greenroom.shutdown_clean();
    greenroom.start();
    ready(&greenroom);
    end(&greenroom);
}

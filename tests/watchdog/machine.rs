//! The memory of the machine runs out: it is told before it is gone.
//!
//! The machine is a cgroup with a limit, which counts for the runtime in it as the whole of it, and what takes its memory is
//! a neighbour that is none of its services.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    common::{BIN, BOUND, Greenroom, note, wait_for, wait_until},
    service, watchdog,
};

/// The memory of that machine, in bytes.
const MEMORY: u64 = 600 << 20;

/// A cgroup with a limit on memory. Dropping it ends what is in it, and removes it.
struct Machine {
    folder: PathBuf,
    neighbours: Vec<Child>,
}

impl Machine {
    /// One below the test's own group, or the nearest above that has a controller of memory for its children. `None`, and a
    /// note, where there is none.
    fn new() -> Option<Self> {
        let made = own_groups().into_iter().find_map(|own| Self::below(&own));
        if made.is_none() {
            note("not run: no cgroup with a limit on memory can be made here");
        }
        made
    }

    fn below(own: &Path) -> Option<Self> {
        let name = format!("greenroom-test-{}-{:x}", std::process::id(), crate::common::random());
        let folder = own.join(name);
        fs::create_dir(&folder).ok()?;
        // From here on it is removed whatever happens.
        let machine = Self { folder, neighbours: Vec::new() };
        let limit = |file: &str| fs::write(machine.folder.join(file), MEMORY.to_string()).is_ok();
        (limit("memory.max") || limit("memory.limit_in_bytes")).then_some(machine)
    }

    /// The same command in this group.
    fn holding(&self, command: &Command) -> Command {
        let mut held = Command::new("/bin/sh");
        held.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.folder.join("cgroup.procs"));
        held.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => held.env(name, value),
                None => held.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            held.current_dir(folder);
        }
        held
    }

    /// Has a neighbour take so much memory that this share of all of it is in use.
    fn fill(&mut self, greenroom: &Greenroom, share: f64) {
        let (total, free) = host(greenroom);
        let take = (total as f64 * share) as u64 - (total - free);
        let mut neighbour = Command::new(BIN);
        neighbour.args(["stand-in", "--no-http", "--name", "neighbour", "--memory", &format!("{take}B")]);
        let mut neighbour = self.holding(&neighbour);
        neighbour.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.neighbours.push(neighbour.spawn().expect("the stand-in runs"));
    }

    /// Ends all neighbours.
    fn empty(&mut self) {
        for mut neighbour in self.neighbours.drain(..) {
            neighbour.kill().ok();
            neighbour.wait().ok();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.empty();
        // What has just ended is still in it for a moment.
        for _ in 0..100 {
            if fs::remove_dir(&self.folder).is_ok() || !self.folder.exists() {
                break;
            }
            crate::common::pause(std::time::Duration::from_millis(20));
        }
    }
}

/// The folders of the test's own group in each hierarchy and of all groups above it, the innermost first.
fn own_groups() -> Vec<PathBuf> {
    let lines = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let mut found = Vec::new();
    for line in lines.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(kinds), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if !kinds.is_empty() && !kinds.split(',').any(|kind| kind == "memory") {
            continue;
        }
        for above in Path::new(path).ancestors() {
            let inside = above.strip_prefix("/").unwrap_or(above);
            found.extend(mounts.iter().map(|mount| Path::new(mount).join(inside)));
        }
    }
    found.retain(|folder| folder.join("cgroup.procs").exists());
    found
}

/// Total and available memory as the Watchdog sees them, in bytes.
#[track_caller]
fn host(greenroom: &Greenroom) -> (u64, u64) {
    wait_until("the machine was looked at", BOUND, || {
        let host = &greenroom.status()["watch"]["host"];
        Some((host["total"].as_u64()?, host["available"].as_u64()?))
    })
    .0
}

#[test]
fn memory_that_runs_out_is_told_by_levels_and_so_is_its_end() {
    let Some(mut machine) = Machine::new() else { return };
    let greenroom = Greenroom::new();
    let file = greenroom.folder().join("told").display().to_string();
    let program = greenroom.words(&["/bin/sh", "-c", "printf '%s\\n' \"$1\" >> \"$0\"", &file]);
    let keys = format!("memory = {{ warning = 0.5, critical = 0.7 }}\nnotify = {{ exec = {program} }}");
    let small = "[resources]\nram_reserve = \"16MiB\"\n";
    let chat = service(&greenroom, "chat", "--memory 40MiB", "ram = \"60MiB\"");
    greenroom.configure(&(watchdog(&keys) + small + &chat));
    let config = greenroom.config_file();
    greenroom.start_as(|command| {
        command.args(["run", "-c"]).arg(config);
        *command = machine.holding(command);
    });
    greenroom.wait_watched("chat");
    assert_eq!(host(&greenroom).0, MEMORY, "the limit is what it reckons with");
    let standing = || greenroom.api().get("/api/alerts").expect("the runtime answers").json();
    assert_eq!(standing(), json!([]));
    let severities = || -> Vec<Value> {
        let alerts = greenroom.alerts(None).into_iter().filter(|event| event["alert"] == "memory");
        alerts.map(|mut event| event["severity"].take()).collect()
    };

    machine.fill(&greenroom, 0.6);
    let alert = greenroom.wait_alert(None, "memory");
    let message = alert["message"].as_str().unwrap_or_default();
    assert!(message.contains("of the machine's memory is in use") && message.contains("held by chat ("), "{alert:#}");
    machine.fill(&greenroom, 0.8);
    wait_for("it gets worse", BOUND, || severities() == ["warning", "critical"]);
    assert_eq!(standing()[0]["severity"], "critical");
    let told = || fs::read_to_string(&file).unwrap_or_default();
    wait_for("a program was told of both", BOUND, || told().matches("of the machine's memory is in use").count() == 2);
    let figures = greenroom.api().get("/metrics").expect("it answers").body;
    for severity in ["warning", "critical"] {
        let counted = format!("greenroom_watchdog_alerts_total{{kind=\"memory\",severity=\"{severity}\"}} 1\n");
        assert!(figures.contains(&counted), "{figures}");
    }
    let log = greenroom.state_dir().join("logs/memory.jsonl");
    wait_for("the memory log is written", BOUND, || fs::read_to_string(&log).is_ok_and(|text| text.ends_with('\n')));
    assert_eq!(greenroom.state("chat"), "ready", "nothing is ended for it");

    machine.empty();
    greenroom.wait_cleared(None, "memory");
    assert_eq!(standing(), json!([]));
    assert_eq!(severities(), ["warning", "critical"], "each level is told once");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

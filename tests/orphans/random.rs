//! The runtime is killed at random moments: while it starts, spawns, stops and restarts.

use std::{
    env,
    process::{Child, Stdio},
    time::Duration,
};

use crate::common::{Greenroom, Layer, in_every_layer, note, pause, random, wait_until};

in_every_layer!(kills_at_random_moments_leave_nothing);

/// Kills, unless `GREENROOM_TEST_KILLS` says how many.
const KILLS: u32 = 20;
/// A kill comes at most this long after the start of the runtime.
const LATEST_MS: u64 = 900;
/// One second is promised; a machine that runs many tests at once gets more.
const GONE: Duration = Duration::from_secs(15);

fn config(greenroom: &Greenroom) -> String {
    let daemons = greenroom.stand_in("daemons", "--no-http --tree 2 --child-mode double-fork,clear-env");
    let tree = greenroom.stand_in("tree", "--no-http --tree 3x3 --child-mode setsid,respawn --ignore-signals");
    let slow = greenroom.stand_in("slow", "--port ${port} --load-ms 200 --stop-ms 100");
    let crashing = greenroom.stand_in("crashing", "--no-http --tree 2 --crash-after-ms 50");
    format!(
        r#"
        [service.daemons]
        command = {daemons}
        [service.tree]
        command = {tree}
        stop.grace = "50ms"
        [service.slow]
        command = {slow}
        ready = "/health"
        [service.crashing]
        command = {crashing}
        restart.max = 1000
        restart.backoff = "5ms..20ms"
        "#
    )
}

fn kills_at_random_moments_leave_nothing(layer: Layer) {
    let kills = env::var("GREENROOM_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let greenroom = Greenroom::in_layer(layer);
    greenroom.configure(&config(&greenroom));
    let mut worst = Duration::ZERO;
    let mut killed = Vec::new();
    for n in 0..kills {
        let moment = Duration::from_millis(random() % LATEST_MS);
        greenroom.spawn();
        // Commands that find no runtime yet fail, which is as good: the kill then falls into the start.
        let mut commands = [spawn(&greenroom, &["restart", "slow"]), spawn(&greenroom, &["stop", "tree"])];
        pause(moment);
        let status = greenroom.exited();
        assert!(status.is_none(), "kill {n}: the runtime had ended: {status:?}\n{}", greenroom.output());
        killed.push(greenroom.pid());
        greenroom.kill();
        worst = worst.max(greenroom.wait_gone(GONE));
        for command in &mut commands {
            wait_until("a command whose runtime is gone ends", Duration::from_secs(30), || {
                command.try_wait().expect("it is a child of the test")
            });
        }
    }
    note(&format!("{kills} kills, the slowest end of all processes took {worst:?}"));
    greenroom.start();
    for (service, size) in [("daemons", 3), ("tree", 13), ("slow", 1)] {
        greenroom.wait_state(service, "ready");
        wait_until(service, Duration::from_secs(30), || (greenroom.processes_of(service).len() == size).then_some(()));
    }
    greenroom.shutdown_clean();
    greenroom.assert_clean();
    let left: Vec<String> = greenroom.cgroups_beside().into_iter().filter(|name| is_of(name, &killed)).collect();
    assert!(left.is_empty(), "cgroups of killed runtimes are left: {left:?}");
}

/// Whether a cgroup is the root of one of these runtimes: their number stands in its name. Cgroups in which a runtime
/// tries out whether cgroups work do not count: a killed one's is cleared away by a start a minute later.
fn is_of(cgroup: &str, pids: &[i32]) -> bool {
    let mut numbers = cgroup.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(|part| part.parse().ok());
    cgroup.starts_with("greenroom-")
        && !cgroup.starts_with("greenroom-probe-")
        && numbers.any(|number: i32| pids.contains(&number))
}

fn spawn(greenroom: &Greenroom, args: &[&str]) -> Child {
    let mut command = greenroom.cli_command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary under test runs")
}

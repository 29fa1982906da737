//! 10,000 jobs in line: `cargo bench --bench jobs [-- COUNT]`. Prints how long each submission took until it was on disk
//! and answered, what the line costs in memory and on disk, how long a restart with it takes, and whether it is in order.
//!
//! After each submission the disk is asked for about the same alone: 8 KiB and an `fdatasync`. And once all are done, two
//! threads hand a byte to and fro for as long as that took, with nothing to do and no disk. What the disk and the machine make
//! everybody wait for now and then is seen in all three.

#[path = "../common/mod.rs"]
mod common;

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::Duration,
};

use common::{Greenroom, timed, wait_for};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    // `cargo bench` adds `--bench`.
    let count = std::env::args().skip(1).find_map(|argument| argument.parse::<usize>().ok()).unwrap_or(10_000);
    let greenroom = Greenroom::running(|g| {
        let command = g.words(&["/bin/sleep", "3600", "${param.n}"]);
        format!(
            "[job.wait]\ncommand = {command}\nparams.n = {{ type = \"int\" }}\ngpu = \"none\"\nram = \"1MiB\"\nretries = 0\n"
        )
    });
    // It keeps the only slot, so that all others are in line.
    let first = greenroom.submit("wait", &json!({ "n": 0 }));
    greenroom.wait_job(&first, &["running"]);
    let (rss, disk) = (held(greenroom.pid()), history(&greenroom));

    let mut disk_alone = Disk::prepare(greenroom.folder());
    let (mut submissions, mut syncs) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut ids = Vec::with_capacity(count);
    for n in 0..count {
        let (id, took) = timed(|| greenroom.submit("wait", &json!({ "n": n })));
        ids.push(id);
        submissions.push(took);
        syncs.push(disk_alone.sync());
    }
    let all: Duration = submissions.iter().sum();
    let grown = held(greenroom.pid()).saturating_sub(rss);
    println!("{count} submissions, one after the other, {:.0} a second", count as f64 / all.as_secs_f64());
    spread("a submission, from the request to the answer", submissions, "each < 5 ms");
    spread("the disk alone: 8 KiB and fdatasync", syncs, "");
    spread("the machine alone: a byte to and fro, for as long", machine_alone(all), "");
    row("memory for each job in line", &format!("{:.2} KiB", grown as f64 / 1024.0 / count as f64), "");
    let on_disk = history(&greenroom).saturating_sub(disk);
    row("on disk for each", &format!("{:.2} KiB", on_disk as f64 / 1024.0 / count as f64), "");
    let (listed, took) = timed(|| in_line(&greenroom, count));
    row("a list of all of them", &format!("{:.1} ms", took.as_secs_f64() * 1e3), "");
    row("in the order of their submission", if listed == ids { "yes" } else { "NO" }, "yes");

    greenroom.kill();
    let (_, took) = timed(|| greenroom.start());
    row("a restart after SIGKILL, until it answers", &format!("{:.0} ms", took.as_secs_f64() * 1e3), "");
    // The one that ran when the runtime was killed has failed, so the first of the line has its slot.
    wait_for("they are all there again", PATIENCE, || in_line(&greenroom, count).len() + 1 >= count);
    let again = in_line(&greenroom, count);
    let kept = again == ids || ids.get(1..) == Some(&again[..]);
    row("all there again, in the order of their submission", if kept { "yes" } else { "NO" }, "yes");
}

/// A file on the disk of the history, of the size that its log has when it is begun anew. All of it is written, so that a
/// write changes nothing but its bytes: no block is allocated, and the file grows no more.
struct Disk {
    file: File,
    at: u64,
}

impl Disk {
    const SIZE: u64 = 4 << 20;
    /// What a commit of one job adds to the log: two pages of 4 KiB, nearly.
    const WRITE: [u8; 8 << 10] = [0xa5; 8 << 10];

    fn prepare(folder: &Path) -> Self {
        let mut file = File::create(folder.join("disk-alone")).expect("a file");
        file.write_all(&vec![0; Self::SIZE as usize]).and_then(|()| file.sync_all()).expect("written");
        Self { file, at: 0 }
    }

    /// How long it takes until 8 KiB are on disk, at the next place of the file.
    fn sync(&mut self) -> Duration {
        let at = SeekFrom::Start(self.at);
        self.at = (self.at + Self::WRITE.len() as u64) % Self::SIZE;
        let (done, took) = timed(|| {
            self.file.seek(at)?;
            self.file.write_all(&Self::WRITE)?;
            self.file.sync_data()
        });
        done.expect("on disk");
        took
    }
}

/// How long it takes until a byte has been at another thread and is back, again and again for so long.
fn machine_alone(lasting: Duration) -> Vec<Duration> {
    let (mut here, mut there) = UnixStream::pair().expect("two sockets");
    let echo = thread::spawn(move || {
        let mut byte = [0];
        while there.read_exact(&mut byte).is_ok() && there.write_all(&byte).is_ok() {}
    });
    let (mut times, mut so_far) = (Vec::new(), Duration::ZERO);
    while so_far < lasting {
        let (done, took) = timed(|| {
            here.write_all(&[1])?;
            here.read_exact(&mut [0])
        });
        done.expect("the other thread answers");
        so_far += took;
        times.push(took);
    }
    drop(here);
    echo.join().expect("it ends");
    times
}

/// Median, 99 % and worst of these times, and how many were late.
fn spread(what: &str, mut times: Vec<Duration>, promised: &str) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    row(what, &format!("{:.2} / {:.2} / {:.2} ms", at(0.5), at(0.99), at(1.0)), promised);
    let late = times.iter().filter(|took| took.as_millis() >= 5).count();
    row("  of them, 5 ms and more", &late.to_string(), "");
}

fn row(what: &str, figure: &str, promised: &str) {
    println!("  {what:<50} {figure:>26}   {promised}");
}

/// Ids of the jobs in line, in its order.
fn in_line(greenroom: &Greenroom, count: usize) -> Vec<String> {
    let answer = greenroom.api().get(&format!("/api/jobs?state=queued&limit={}", count + 1)).expect("an answer").json();
    let id = |job: &Value| job["id"].as_str().map(str::to_owned);
    answer.as_array().into_iter().flatten().filter_map(id).collect()
}

/// Memory of the runtime that nobody can take from it, in bytes.
fn held(pid: i32) -> u64 {
    common::taken(pid)
}

/// Bytes of the history's files.
fn history(greenroom: &Greenroom) -> u64 {
    let entries = fs::read_dir(greenroom.state_dir()).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("history.db"));
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

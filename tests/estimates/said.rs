//! What a server says that it takes.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::common::{BOUND, wait_until};

/// What it may compute on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    None,
    Any,
}

/// Buffers by what they are for; those of a device are counted apart.
#[derive(Debug, Default)]
pub struct Said {
    /// Weights on the host.
    pub model: u64,
    /// Cache and states there.
    pub cache: u64,
    /// Whatever else is there.
    pub other: u64,
}

/// The same for both sides.
#[derive(Debug, Default)]
pub struct Both {
    host: Said,
    card: Said,
}

impl Said {
    fn all(&self) -> u64 {
        self.model + self.cache + self.other
    }
}

impl Both {
    pub fn on_card(&self) -> u64 {
        self.card.all()
    }

    pub fn on_host(&self) -> u64 {
        self.host.all()
    }

    /// What is on the host, of a server without a card.
    pub fn host(self) -> Said {
        assert_eq!(self.card.all(), 0, "it has no card");
        self.host
    }
}

/// Ends it, whatever happens to the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The devices that it finds on this machine, as it lists them:
/// `  Vulkan0: llvmpipe (LLVM 19.1.7, 256 bits) (15873 MiB, 15873 MiB free)` (llama.cpp, `common/arg.cpp`).
pub fn devices(server: &Path) -> Vec<String> {
    let output = Command::new(server).arg("--list-devices").stdin(Stdio::null()).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, list) = text.split_once("Available devices:").unwrap_or_else(|| panic!("it lists nothing: {output:?}"));
    list.lines().map(str::trim).filter(|line| line.contains(": ")).map(str::to_owned).collect()
}

/// Loads the model, reads what the server says (`-lv 4`), and ends it.
pub fn ask(server: &Path, model: &Path, options: &[&str], device: Device) -> Both {
    let folder = model.parent().expect("a file lies in a folder");
    let log = folder.join("server.log");
    let (out, socket) = (File::create(&log).expect("writable"), folder.join("s.sock"));
    let mut command = Command::new(server);
    command.arg("--host").arg(&socket).arg("-m").arg(model).args(options);
    command.args(["-lv", "4", "-fit", "off", "--no-warmup", "--cache-ram", "0"]);
    if device == Device::None {
        command.args(["--device", "none"]);
    }
    let errors = out.try_clone().expect("a descriptor");
    let child = command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn().expect("it runs");
    let mut running = Running(child);
    let (text, _) = wait_until("the model is loaded", 4 * BOUND, || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if let Ok(Some(status)) = running.0.try_wait() {
            panic!("{options:?}: {status}:\n{text}");
        }
        text.contains("model loaded").then_some(text)
    });
    drop(running);
    drop(fs::remove_file(socket));
    read(&text)
}

/// `load_tensors:   CPU_Mapped model buffer size =    65.03 MiB`
fn read(text: &str) -> Both {
    let mut both = Both::default();
    for line in text.lines() {
        let Some((before, after)) = line.split_once(" buffer size =") else { continue };
        let mib: f64 = after.trim().trim_end_matches(" MiB").parse().unwrap_or_else(|_| panic!("no size: {line}"));
        let mut words = before.split_whitespace().rev();
        let (Some(what), Some(place)) = (words.next(), words.next()) else { panic!("no buffer: {line}") };
        let on_host = place.starts_with("CPU") || place.ends_with("_Host");
        let side = if on_host { &mut both.host } else { &mut both.card };
        let bytes = (mib * f64::from(1 << 20)) as u64;
        match what {
            "model" => side.model += bytes,
            "KV" | "RS" => side.cache += bytes,
            _ => side.other += bytes,
        }
    }
    assert!(both.on_host() > 0, "it says nothing of its buffers:\n{text}");
    both
}

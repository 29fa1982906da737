//! A job as it is done: each act when it is due, its words, its files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    super::{output, picture::PIXEL},
    options::{JobOptions, Trouble},
    script::{Act, Script, bar, pace, script},
};

/// A job under way.
#[derive(Debug)]
pub struct Play {
    options: JobOptions,
    script: Script,
    /// Held as long as the process lives.
    _alone: Option<File>,
}

/// What an act asks of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing more.
    On,
    /// To have its memory.
    Load,
    /// To end with this status.
    End(i32),
    /// To end as it was told a crash ends.
    Crash,
}

/// What is wrong with a job before it begins.
#[derive(Debug)]
pub enum NotBegun {
    /// Another one holds the lock.
    Double,
    /// A file cannot be used.
    Io(io::Error),
}

impl From<io::Error> for NotBegun {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Play {
    /// The job of these options, whose load takes so long.
    ///
    /// # Errors
    /// When another one holds the lock, or a file cannot be used.
    pub fn begin(options: &JobOptions, load: Duration) -> Result<Self, NotBegun> {
        let alone = options.alone.as_deref().map(hold).transpose()?;
        let begun = options.count.as_deref().map(count).transpose()?;
        let fails = options.fail_first.is_none_or(|first| begun.is_some_and(|begun| begun <= first));
        let missing = |file: &PathBuf| !file.exists();
        let trouble = if options.model.as_ref().is_some_and(missing) || options.init_img.as_ref().is_some_and(missing) {
            Some(Trouble::BadModel)
        } else {
            options.fail.filter(|_| fails)
        };
        Ok(Self { options: options.clone(), script: script(options, load, trouble), _alone: alone })
    }

    /// The pause before the next act; `None` after the last.
    pub fn pause(&self) -> Option<Duration> {
        self.script.front().map(|(pause, _)| *pause)
    }

    /// The next act.
    pub fn go_on(&mut self) -> Turn {
        match self.script.pop_front().map(|(_, act)| act) {
            Some(Act::Weights(done, of)) => output::draw(&bar(done, of, "412.31MB/s")),
            Some(Act::Loaded) => {
                output::say("[INFO ] model.cpp:993  - loading tensors completed, taking 0.10s");
                return Turn::Load;
            }
            Some(Act::Step(done, of)) => {
                output::draw(&bar(done, of, &pace(Duration::from_millis(self.options.step_ms))))
            }
            Some(Act::Save) => {
                if let Err(error) = self.save() {
                    output::complain(&format!("[ERROR] main.cpp:441  - save result image: {error}"));
                    return Turn::End(1);
                }
            }
            Some(Act::Fail(trouble)) => return fail(trouble),
            Some(Act::End) | None => return Turn::End(0),
        }
        Turn::On
    }

    fn save(&self) -> io::Result<()> {
        let count = self.options.batch_count.max(1);
        for n in 0..count {
            let path = picture_path(&self.options.output, (count > 1).then_some(n));
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, PIXEL)?;
            output::say(&format!("[INFO ] main.cpp:441  - save result image {n} to '{}' (success)", path.display()));
        }
        Ok(())
    }
}

/// Where the picture goes (`examples/cli/main.cpp`, `save_results`).
fn picture_path(output: &Path, number: Option<u32>) -> PathBuf {
    let is_picture = output.extension().is_some_and(|kind| ["png", "jpg", "jpeg", "webp"].iter().any(|k| kind == *k));
    let kind = output.extension().and_then(|kind| kind.to_str()).unwrap_or("png");
    let (base, kind) = if is_picture { (output.with_extension(""), kind) } else { (output.to_owned(), "png") };
    let number = number.map(|n| format!("_{n}")).unwrap_or_default();
    PathBuf::from(format!("{}{number}.{kind}", base.display()))
}

/// Says what stable-diffusion.cpp says, and how it ends then.
fn fail(trouble: Trouble) -> Turn {
    let (lines, last): (&[&str], &str) = match trouble {
        Trouble::Oom => (OOM, NO_CONTEXT),
        Trouble::OomCompute => (OOM_COMPUTE, ""),
        Trouble::OomHost => (OOM_HOST, NO_CONTEXT),
        Trouble::BadModel => (BAD_MODEL, NO_CONTEXT),
        Trouble::Crash => return Turn::Crash,
        Trouble::NoPicture => return Turn::End(0),
    };
    for line in lines {
        output::complain(line);
    }
    if !last.is_empty() {
        output::say(last);
    }
    Turn::End(1)
}

const NO_CONTEXT: &str = "[INFO ] main.cpp:713  - new_sd_ctx_t failed";
const OOM: &[&str] = &[
    "[ERROR] ggml_extend.hpp:69   - ggml_backend_cuda_buffer_type_alloc_buffer: allocating 1639.25 MiB on device 0: cudaMalloc failed: out of memory",
    "[ERROR] ggml_extend.hpp:69   - alloc_tensor_range: failed to allocate CUDA0 buffer of size 1718890496",
    "[ERROR] ggml_extend.hpp:2572 - unet alloc params backend buffer failed, num_tensors = 686",
];
const OOM_COMPUTE: &[&str] = &[
    "[ERROR] ggml_extend.hpp:69   - ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 588251136",
    "[ERROR] ggml_extend.hpp:1914 - unet: failed to allocate the compute buffer",
    "[ERROR] stable-diffusion.cpp:1696 - diffusion model compute failed",
    "[ERROR] main.cpp:741  - generate failed",
];
/// As a build for the CPU says it under `ulimit -v`.
const OOM_HOST: &[&str] = &[
    "[ERROR] ggml_extend.hpp:69   - ggml_aligned_malloc: insufficient memory (attempted to allocate 602.60 MB)",
    "[ERROR] ggml_extend.hpp:69   - ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 631868192",
    "[ERROR] ggml_extend.hpp:69   - alloc_tensor_range: failed to allocate CPU buffer of size 631868192",
    "[ERROR] ggml_extend.hpp:2572 - unet alloc params backend buffer failed, num_tensors = 280",
    "[ERROR] model.cpp:929  - read tensor data failed: too less memory for conversion",
    "[ERROR] model.cpp:1051 - load tensors from file failed",
    "[ERROR] stable-diffusion.cpp:801  - load tensors from model loader failed",
];
const BAD_MODEL: &[&str] = &[
    "[ERROR] model.cpp:270  - failed to open file",
    "[ERROR] stable-diffusion.cpp:214  - init model loader from file failed: 'model.safetensors'",
    "[ERROR] stable-diffusion.cpp:299  - get sd version from file failed: 'model.safetensors'",
];

/// The lock, as long as the file lives.
fn hold(file: &Path) -> Result<File, NotBegun> {
    let held = OpenOptions::new().append(true).create(true).open(file)?;
    match held.try_lock() {
        Ok(()) => Ok(held),
        Err(fs::TryLockError::WouldBlock) => Err(NotBegun::Double),
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// How many jobs were begun, this one among them.
fn count(file: &Path) -> io::Result<u64> {
    let mut counted = OpenOptions::new().append(true).create(true).open(file)?;
    counted.write_all(b".")?;
    Ok(counted.metadata()?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_named_as_the_program_names_them() {
        let named = |output: &str, number| picture_path(Path::new(output), number).display().to_string();
        assert_eq!(named("a/image", None), "a/image.png");
        assert_eq!(named("a/image.png", None), "a/image.png");
        assert_eq!(named("a/v1.5", Some(1)), "a/v1.5_1.png");
        assert_eq!(named("image.jpg", Some(0)), "image_0.jpg");
    }

    #[test]
    fn whoever_comes_while_another_works_is_double() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("alone");
        let first = hold(&file).expect("nobody else");
        assert!(matches!(hold(&file), Err(NotBegun::Double)));
        drop(first);
        assert!(hold(&file).is_ok());
        assert_eq!((count(&file).ok(), count(&file).ok()), (Some(1), Some(2)));
    }
}

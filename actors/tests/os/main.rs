//! The operating system layer against real processes.
//!
//! This binary is its own helper: started again as `__exec`, `__guardian` or `__probe` it becomes that, started with
//! `role` it plays a runtime that can be killed. That needs a `main` of its own, so the test harness is a small one:
//! `cargo test -p greenroom-actors --test os [FILTER]`.

mod audit;
mod containment;
mod exec;
mod guardian;
mod nursed;
mod roles;
mod shim_process;
mod shims;
mod stuck;
mod support;
mod sweep;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

/// What a test ends with, if it does not panic.
pub enum Verdict {
    /// It held.
    Held,
    /// It could not be tried here, for this reason.
    LeftOut(&'static str),
}

type Test = (&'static str, fn() -> Verdict);

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(code) = greenroom_actors::os::entry::dispatch(&args) {
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    let words: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    if let Some(("role", rest)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return roles::play(rest);
    }
    let tests: Vec<Test> = [
        exec::TESTS,
        containment::TESTS,
        stuck::TESTS,
        shims::TESTS,
        shim_process::TESTS,
        guardian::TESTS,
        sweep::TESTS,
        audit::TESTS,
    ]
    .concat();
    if words.iter().any(|word| word == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    run(&tests, words.iter().find(|word| !word.starts_with('-')).map_or("", String::as_str))
}

/// One after the other: several of them measure time and count processes. The last line is the one of Rust's own harness.
fn run(tests: &[Test], filter: &str) -> ExitCode {
    let (mut passed, mut ignored, mut failed) = (0, 0, Vec::new());
    for (name, test) in tests.iter().filter(|(name, _)| name.contains(filter)) {
        match catch_unwind(AssertUnwindSafe(test)) {
            Ok(Verdict::Held) => {
                println!("test {name} ... ok");
                passed += 1;
            }
            Ok(Verdict::LeftOut(reason)) => {
                println!("test {name} ... ignored, {reason}");
                ignored += 1;
            }
            Err(_) => {
                println!("test {name} ... FAILED");
                failed.push(*name);
            }
        }
    }
    failed.iter().for_each(|name| println!("failed: {name}"));
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    let filtered = tests.len() - passed - ignored - failed.len();
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; {ignored} ignored; 0 measured; {filtered} filtered out",
        failed.len()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A list of tests under their own names.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        /// The tests of this file.
        pub const TESTS: &[(&str, fn() -> $crate::Verdict)] =
            &[$((concat!(module_path!(), "::", stringify!($name)), $name)),*];
    };
}

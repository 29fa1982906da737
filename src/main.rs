//! The thin launcher: arguments to a command, its outcome to an exit code. The only place that ends the process.

use std::ffi::OsString;

fn main() {
    // First of all: this process may have been started as a guardian, or to become a service's program.
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let code = match greenroom::actors::os::entry::dispatch(&args) {
        Some(code) => code,
        None if args.first().is_some_and(|first| first == "stand-in") => {
            greenroom::stand_in::main(args.into_iter().skip(1))
        }
        None => greenroom::cli::main(std::env::args_os()),
    };
    #[allow(clippy::disallowed_methods, reason = "this is main")]
    std::process::exit(code);
}

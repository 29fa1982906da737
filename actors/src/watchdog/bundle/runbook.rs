//! What to try, by what a bundle was made for: commands that can be typed as they stand, the first one first. Pure.

/// What to try, and the page that says more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToTry {
    /// Commands in backticks, and what to look for, in one line.
    pub text: String,
    /// The name of the page in `docs/runbooks`.
    pub page: &'static str,
}

/// What to try for `what`, the alert or class of failure that a bundle was made for. `name` is the service to look at, where
/// one is known.
#[must_use]
pub fn what_to_try(what: &str, name: Option<&str>) -> ToTry {
    let (text, page) = by_what(what);
    ToTry { text: text.replace("NAME", name.unwrap_or("NAME")), page }
}

/// The same for a bundle that was made without a runtime.
#[must_use]
pub fn without_a_runtime() -> ToTry {
    let text = "shutdown.log and the end of events.jsonl: was it stopped, or did it end in the middle; `greenroom sweep \
                --dry-run`: is something of it left; `greenroom doctor`: is this machine well; `greenroom run` begins anew, \
                and ends first what is left";
    ToTry { text: text.to_owned(), page: "shutdown" }
}

fn by_what(what: &str) -> (&'static str, &'static str) {
    match what {
        "runaway" => (
            "`greenroom why NAME`: is it ready again; tree.txt: which command is there many times, and below which parent; \
             then its own option for the number of workers (`--workers`, `OMP_NUM_THREADS`), or `limits.processes` where so \
             many are right; `greenroom stop NAME` until then",
            "runaway",
        ),
        "leak" => (
            "`greenroom restart NAME` gives the memory back now; tree.txt: which process holds it; `limits.on_exceed = \
             \"restart_when_idle\"` does that by itself; a larger `limits.growth` where it is a cache that fills once",
            "leaks",
        ),
        "ram_limit" => (
            "`greenroom history runs --service NAME`: if runs end soon after their start, `limits.ram` is below what it \
             needs; else tree.txt: which process holds it, and a bound for its cache (`--cache-ram`, `--cache-lru`); \
             `greenroom restart NAME` gives the memory back now",
            "leaks",
        ),
        "memory" | "memory_pressure" => (
            "`greenroom status`: who holds most; `greenroom offload NAME` for what is not needed now; `ps -eo pid,rss,comm \
             --sort=-rss | head`: what others hold; memory.jsonl: how it came; `resources.ram_reserve` keeps more back",
            "leaks",
        ),
        "own_memory" | "own_descriptors" => (
            "a fault of Greenroom: report it with this bundle; `greenroom shutdown` and a new start give it back; tree.txt \
             and system.txt have what it holds",
            "leaks",
        ),
        "nan" => (
            "`greenroom why NAME`: is it ready again, else `greenroom restart NAME`; `greenroom history jobs --failed \
             --since 1d`: one prompt (change it), one model (`--no-half-vae`, `--no-half`, `--fp32-vae`, another VAE), or all \
             (the card: `dmesg | grep -i xid`)",
            "nan",
        ),
        "timeout" | "job_stuck" => (
            "tree.txt: where its processes wait (`D` is a driver or a disk: `dmesg | tail`); `greenroom job show last`: at \
             which step it stood; `greenroom restart NAME`; a larger `limits.progress` or `timeout` if a good run is silent \
             for so long",
            "wedged-engine",
        ),
        "actor_silent" => (
            "`greenroom status`: does it answer; system.txt and tree.txt: a disk that hangs (`df`, `dmesg | tail`) or no \
             processor left; if it stays silent, restart the runtime (`systemctl restart greenroom`), and report it with \
             this bundle",
            "wedged-engine",
        ),
        "oom_gpu" => (
            "`greenroom gpus`: who holds what now (memory.json: then); `greenroom offload` for another one, or for NAME fewer \
             layers (`gpu_layers`), a smaller context (`-c`) or a higher figure in `vram`; `greenroom plan NAME` says whether \
             it fits",
            "out-of-memory",
        ),
        "oom_host" => (
            "`dmesg | grep -i oom`: what the kernel has ended; `greenroom status`: who holds most; a higher figure in `ram` of \
             NAME, or more kept back with `resources.ram_reserve`; `greenroom plan NAME` says whether it fits",
            "out-of-memory",
        ),
        "driver" => (
            "`greenroom gpus` and `greenroom doctor`: does the card answer; `dmesg | grep -i -E 'nvrm|xid|amdgpu'`: what its \
             driver says; `greenroom restart NAME` once it does; fallen off the bus or state `D`: restart the machine",
            "gpu-lost",
        ),
        "dirty" => (
            "`greenroom job list --state failed`: what failed in a row; on NAME `cleanup.on_failure = \"restart\"`, then \
             `restart_after_job = true`; `greenroom gpus` after a job: what it still holds",
            "dirty-engine",
        ),
        "stuck" => (
            "tree.txt: what outlived SIGKILL, and in which call of the kernel; `dmesg | tail`: the driver's last words; \
             nothing but the driver, or a restart of the machine, ends it",
            "orphans",
        ),
        _ => (
            "`greenroom status`: who is not well; `greenroom why NAME`: why, and what helps; `greenroom logs NAME`: its own \
             words; `greenroom history events --failed --since 1h`: what came before",
            "restart-loops",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureClass;

    const ALERTS: [&str; 10] = [
        "runaway",
        "leak",
        "ram_limit",
        "memory",
        "memory_pressure",
        "own_memory",
        "own_descriptors",
        "actor_silent",
        "job_stuck",
        "dirty",
    ];

    fn every_word() -> Vec<&'static str> {
        use FailureClass::{Driver, Nan, OomGpu, OomHost, Timeout};
        let classes = [Nan, OomGpu, OomHost, Driver, Timeout].map(FailureClass::name);
        ALERTS.into_iter().chain(classes).chain(["stuck", "asked"]).collect()
    }

    #[test]
    fn each_names_a_page_that_is_there_and_fits_into_its_line() {
        let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks");
        let all = every_word().into_iter().map(|what| what_to_try(what, Some("a-service-with-a-name-of-some-length")));
        for ToTry { text, page } in all.chain([without_a_runtime()]) {
            assert!(pages.join(format!("{page}.md")).is_file(), "{page}");
            assert!(text.chars().count() < 420 && !text.contains('\n') && !text.contains("NAME"), "{text}");
            assert!(text.contains("greenroom ") || text.contains("tree.txt"), "{text}");
        }
    }

    #[test]
    fn no_two_occasions_but_those_that_are_alike_have_the_same_advice() {
        let mut texts: Vec<String> = every_word().into_iter().map(|what| what_to_try(what, None).text).collect();
        texts.sort();
        texts.dedup();
        // Both of memory, both of the runtime itself, and a stuck job and a timeout.
        assert_eq!(texts.len(), every_word().len() - 3);
    }

    #[test]
    fn commands_are_about_the_service_where_one_is_known() {
        assert!(what_to_try("nan", Some("webui")).text.starts_with("`greenroom why webui`: is it ready again"));
        assert!(what_to_try("nobody knows this", None).text.contains("`greenroom why NAME`"));
    }
}

//! What to try, by what a bundle was made for. Pure.

/// What to try, and the page that says more.
#[must_use]
pub fn what_to_try(what: &str) -> (&'static str, &'static str) {
    match what {
        "runaway" => (
            "see in tree.txt which program starts the others; a lower count of workers in its options, or a higher \
             limits.processes",
            "runaway",
        ),
        "leak" | "ram_limit" | "memory" | "memory_pressure" | "own_memory" | "own_descriptors" => (
            "compare memory and descriptors in tree.txt and memory.json; restart what grows, and set limits.growth",
            "leaks",
        ),
        "nan" => ("restart the service if that was not done; then look for the model and options in its log", "nan"),
        "timeout" | "actor_silent" | "job_stuck" => (
            "see in tree.txt where its processes wait; restart the service, and raise the bound if it was slow",
            "wedged-engine",
        ),
        "oom_gpu" | "oom_host" => (
            "see in memory.json who holds what; a smaller context, fewer layers on the card, or another model",
            "out-of-memory",
        ),
        "driver" => ("see gpus.json and the kernel's log for the card; it may need a reset or a reboot", "gpu-lost"),
        "dirty" => {
            ("see jobs.json for what failed in a row; the clean-up of that service does not help", "dirty-engine")
        }
        "stuck" => ("see in tree.txt what outlived SIGKILL and in which call of the kernel", "orphans"),
        _ => ("read events.jsonl from its end, then the log of the service that it names", "restart-loops"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureClass;

    #[test]
    fn every_class_and_alert_has_something_to_try() {
        for what in
            ["runaway", "leak", "memory", "actor_silent", "job_stuck", "dirty", FailureClass::OomGpu.name(), "asked"]
        {
            let (text, page) = what_to_try(what);
            assert!(!text.is_empty() && !page.is_empty() && !text.contains('\n'), "{what}");
        }
    }
}

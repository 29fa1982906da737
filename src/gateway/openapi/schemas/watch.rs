//! What needs attention, and what the watchdog saw. Pure.

use super::all::Shapes;
use crate::gateway::openapi::parts::{map, nullable, number, object, one_of, text, time, whole};

/// Their shapes.
pub(super) fn watch() -> Shapes {
    let service = object(
        "",
        [
            ("processes", whole("")),
            ("ram", nullable(whole("Anonymous and shared memory; `null` until it was measured."))),
            ("vram", whole("On all cards.")),
            ("descriptors", whole("Open files and sockets.")),
        ],
    );
    let host = object(
        "",
        [
            ("total", whole("Memory that there is.")),
            ("available", whole("Memory that could be had.")),
            ("pressure", nullable(number("Percent of the last ten seconds in which everybody waited for memory."))),
        ],
    );
    vec![
        (
            "Alert",
            object(
                "What needs attention.",
                [
                    ("alert", text("Its name.")),
                    ("severity", one_of(["warning", "critical", "emergency"], "")),
                    ("service", nullable(text("`null`: about no single one."))),
                    ("message", text("What happened and what to do.")),
                    ("since", time("When it was raised first.")),
                ],
            ),
        ),
        (
            "Sight",
            object(
                "What the watchdog saw last.",
                [
                    ("sampled_at", nullable(time("`null` until the first look, and where nothing is watched."))),
                    ("host", nullable(host)),
                    (
                        "own",
                        object(
                            "Of the runtime itself.",
                            [("ram", whole("")), ("descriptors", whole("")), ("descriptors_limit", whole(""))],
                        ),
                    ),
                    ("services", map(service, "Of which something runs.")),
                    ("actors", map(number(""), "Seconds that an answer took, or has been waited for.")),
                ],
            ),
        ),
    ]
}

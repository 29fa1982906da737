//! The history and reloads. Pure.

use super::all::Shapes;
use crate::gateway::openapi::parts::{boolean, list, nullable, number, object, one_of, shape, text, time, whole};

/// Their shapes.
pub(super) fn history() -> Shapes {
    vec![
        (
            "Run",
            object(
                "",
                [
                    ("run_id", text("")),
                    ("service", text("")),
                    ("pid", whole("")),
                    ("command", list(text(""))),
                    ("started", time("")),
                    ("ready", nullable(time(""))),
                    ("ended", nullable(time(""))),
                    ("exit", nullable(shape("Exit"))),
                    ("wanted", nullable(boolean("Whether somebody had asked for the end."))),
                ],
            ),
        ),
        ("PastEvent", object("", [("id", text("")), ("at", time("")), ("event", shape("Event"))])),
        (
            "Swap",
            object(
                "",
                [
                    ("at", time("When it was ready.")),
                    ("service", text("Who came.")),
                    ("run_id", text("")),
                    ("from", list(text("Who left."))),
                    (
                        "seconds",
                        object(
                            "The parts add up to the total.",
                            [
                                ("queue", number("")),
                                ("drain", number("")),
                                ("stop", number("")),
                                ("reclaim", number("")),
                                ("load", number("")),
                                ("total", number("")),
                            ],
                        ),
                    ),
                ],
            ),
        ),
        (
            "Request",
            object(
                "Whose it was is not kept.",
                [
                    ("at", time("When it came.")),
                    ("model", nullable(text("The name that it gave, shortened."))),
                    ("service", nullable(text("The service that this stands for."))),
                    ("code", whole("The status of the answer; 499: the client left before there was one.")),
                    ("error", nullable(text("Why Greenroom itself refused it."))),
                    ("waited", number("Seconds until it was let in, or until its end.")),
                    ("took", number("Seconds until the end of the answer.")),
                    ("bytes", whole("Of the answer's body, sent on.")),
                    ("whole", boolean("Whether the answer came to its end.")),
                ],
            ),
        ),
    ]
}

/// Their shapes.
pub(super) fn reloads() -> Shapes {
    vec![(
        "Reload",
        object(
            "",
            [
                (
                    "changed",
                    list(object(
                        "",
                        [
                            ("key", text("")),
                            ("from", nullable(text("As TOML, secrets masked."))),
                            ("to", nullable(text(""))),
                        ],
                    )),
                ),
                (
                    "services",
                    list(object(
                        "",
                        [
                            ("name", text("")),
                            ("action", one_of(["live", "restart", "added", "removed"], "")),
                            ("keys", list(text(""))),
                            ("before", nullable(whole("Its main process before."))),
                            ("pid", nullable(whole("Its main process now."))),
                            ("state", nullable(text("Its state now."))),
                            ("error", nullable(text("Why it is not as it should be."))),
                        ],
                    )),
                ),
                ("jobs", list(text("A kind of job that has changed, come or gone."))),
                ("unchanged", whole("How many services were not touched.")),
                ("next_start", list(text("A key that waits for the next start of the runtime."))),
                ("warnings", list(text(""))),
            ],
        ),
    )]
}
